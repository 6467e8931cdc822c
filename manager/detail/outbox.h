#pragma once
/// What the manager says unasked until it is acknowledged: grants to workers, ends of jobs to servers. Both are idempotent and sent again every heartbeat. One
/// thread; the caller sends.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace sluice::manager {

class Outbox {
 public:
  explicit Outbox(Duration again) : again_(again) {}

  /// The worker's assignment changed with this decision.
  void grant(WorkerId worker, DecisionId decision) { grants_[worker] = {decision, Instant{}, false}; }
  void granted(WorkerId worker, DecisionId acknowledged);
  void forget(WorkerId worker) { grants_.erase(worker); }
  /// Every grant that was sent is acknowledged.
  [[nodiscard]] bool settled() const;

  /// `servers` shall forget `job`, but not before the workers have heard that it is over: a slot that still trains it would open it again. `latest`: begin by
  /// then whatever the workers know, but for kOpenMax at once that servers were told of and have not answered. `keep`: as proto::EndJob; of two the first
  /// counts.
  void end(JobId job, std::set<ServerId> servers, Instant latest, std::string keep = {});
  void ended(JobId job, ServerId acknowledged);
  void forget(ServerId server);
  /// Some server has not said yet that it has forgotten the job.
  [[nodiscard]] bool ending(JobId job) const { return ends_.contains(job); }
  /// What end() was told.
  [[nodiscard]] std::string keep(JobId job) const;

  /// What is to be sent now; each is then not due again for a while. Ends of so many jobs are under way at most, the others wait for their answers: a server
  /// that comes back after thousands of jobs have ended is not told of all of them every heartbeat.
  static constexpr std::size_t kOpenMax = 1000;
  [[nodiscard]] std::vector<WorkerId> due_grants(Instant now);
  [[nodiscard]] std::vector<std::pair<ServerId, JobId>> due_ends(Instant now);
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Grant {
    DecisionId decision;
    Instant due;
    bool acknowledged = false;
  };
  struct End {
    Instant due;
    bool open = false;  ///< may be sent
    std::set<ServerId> servers;
    std::string keep;
  };
  [[nodiscard]] std::size_t open_ends() const;
  Duration again_;
  std::map<WorkerId, Grant> grants_;
  std::map<JobId, End> ends_;
};

}  // namespace sluice::manager
