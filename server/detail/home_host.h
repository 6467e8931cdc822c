#pragma once
/// The job homes that one lane holds. One lane's thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "server/detail/ended_jobs.h"
#include "server/detail/reply.h"
#include "server/job_home.h"

namespace sluice::server {

/// A Gate to send unasked.
struct GateNotice {
  net::PeerId peer;
  proto::Header header;
};

/// A clock of a bsp job, or the end of a phase, to be applied by all lanes that own shards of `tables`.
struct ApplyTask {
  proto::Envelope envelope;  ///< job and generation
  proto::Apply apply;
  const std::vector<proto::TableSpec>* tables = nullptr;  ///< the home's; valid while the job's home is
};

/// A job that begins with values from a file, as all lanes that own shards of `tables` are to be told; then started().
struct StartTask {
  proto::Envelope envelope;  ///< job and generation
  proto::CreateTables tables;
};

class HomeHost {
 public:
  static constexpr std::size_t kHomesMax = 1 << 16;
  HomeHost(const EndedJobs& ended, Duration report_interval) : ended_(ended), interval_(report_interval) {}

  /// Join, Leave, LeaseRequest, Commit, Gate, EvaluateCommit or PhaseCommit of a client that is not expired and may ask this lane. REQUIRES: body is one of
  /// them.
  [[nodiscard]] Reply handle(const net::PeerId& peer, const proto::Envelope& envelope, const proto::Body& body, Instant now);
  /// Gates that rose since the last call.
  [[nodiscard]] std::vector<GateNotice> take_gates() { return std::exchange(gates_, {}); }
  /// Clocks closed since the last call.
  [[nodiscard]] std::vector<ApplyTask> take_applies() { return std::exchange(applies_, {}); }
  /// Every lane has applied that clock of the job, or one can't. A job that is not held here is nobody's business any more.
  void applied(JobId job, std::uint64_t clock, const std::optional<Error>& error);
  void forget(JobId job);
  void expire(const std::function<bool(Incarnation)>& expired);

  /// Homes that are to go on from a checkpoint, whose state is to be read, each once; then resumed().
  struct Wanted {
    JobId job;
    std::uint32_t generation = 0;
    proto::StartSpec start;
  };
  [[nodiscard]] std::vector<Wanted> take_wanted() { return std::exchange(wanted_, {}); }
  void resumed(JobId job, std::uint32_t generation, Result<ResumedHome> from);
  /// Homes opened since the last call that wait for started().
  [[nodiscard]] std::vector<StartTask> take_starts() { return std::exchange(starts_, {}); }
  /// Every lane has the values that the job begins with, or one can't have them.
  void started(JobId job, std::uint32_t generation, const std::optional<Error>& error);

  /// nullptr if not held here. After what was done to it: look().
  [[nodiscard]] JobHome* home(JobId job);
  /// After a home's state may have changed: takes what it wants to send.
  void look(JobId job, JobHome& home);

  /// Offers what is due to `sink` (true = taken). Returns when to call again at the latest.
  Instant report(Instant now, const std::function<bool(const proto::JobReport&)>& sink);

 private:
  [[nodiscard]] Result<JobHome*> find(const proto::Envelope& envelope);
  [[nodiscard]] Result<JobHome*> open(const proto::Envelope& envelope, const proto::Join& request);
  [[nodiscard]] static Reply ask(JobHome& home, Incarnation client, const proto::Body& body, Instant now);
  /// Where the home is to go on from a checkpoint that is not read yet, or can't be: the answer to its joins.
  [[nodiscard]] std::optional<Reply> not_resumed(const proto::Envelope& envelope, const proto::Join& request);

  const EndedJobs& ended_;
  Duration interval_;
  std::map<JobId, std::unique_ptr<JobHome>> homes_;
  std::unordered_map<Incarnation, net::PeerId> peers_;  ///< where each client was last heard from
  std::vector<GateNotice> gates_;
  std::vector<ApplyTask> applies_;
  std::vector<StartTask> starts_;
  struct Resumed {
    std::uint32_t generation = 0;
    std::optional<Result<ResumedHome>> from;  ///< none: being read
  };
  std::map<JobId, Resumed> resumed_;  ///< until the home is opened
  std::vector<Wanted> wanted_;
  std::set<JobId> changed_;  ///< with something to report
  bool urgent_ = false;
  Instant due_{};
};

}  // namespace sluice::server
