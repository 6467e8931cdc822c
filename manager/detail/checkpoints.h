#pragma once
/// Checkpoints under way: which servers have yet to say that their part of which job is written. What is ordered is sent again until it is answered; a job's
/// cut is whole when every server that owns hash slots has its part on the disk, or it failed with the first server's words. Nothing of it outlives the
/// manager: a verb that asks a new one about an old checkpoint hears that it is not known. One thread; the caller sends.

#include <cstdint>
#include <deque>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "manager/job_table.h"
#include "proto/messages.h"

namespace sluice::manager {

class Checkpoints {
 public:
  static constexpr std::size_t kRememberedMax = 16;  ///< checkpoints; an older one that is over is forgotten
  explicit Checkpoints(Duration again) : again_(again) {}

  /// Errors: kBadConfig: a job is being saved already, that name is known, or there are too many under way.
  [[nodiscard]] Result<void> begin(const std::string& cut, const std::string& folder, const std::vector<const Job*>& jobs, const std::set<ServerId>& servers);
  /// A server's word.
  void saved(JobId job, ServerId server, const proto::Saved& said);
  void lost(ServerId server, const std::string& name);
  /// The job is over: what is not saved of it will not be.
  void ended(JobId job, const std::string& how);
  /// job: only of that one, with its spec; empty: of all, without. Errors: kNotFound.
  [[nodiscard]] Result<nlohmann::json> status(const std::string& cut, const std::string& job = {}) const;

  struct Due {
    ServerId server;
    JobId job;
    proto::SaveJob order;
  };
  /// What is to be sent now; each is then not due again for a while.
  [[nodiscard]] std::vector<Due> due(Instant now);
  [[nodiscard]] Instant next_timer() const;

 private:
  enum class State : std::uint8_t { kSaving, kSaved, kFailed, kNotBegun, kEnded };
  struct OneJob {
    std::string name, spec;
    State state = State::kSaving;
    std::set<ServerId> waiting;  ///< have not answered; of a failed cut: have not heard that it is given up
    std::set<ServerId> servers;
    Instant due;
    std::uint64_t bytes = 0, step = 0;
    double pause_ms = 0;
    std::string code, text;
  };
  struct One {
    std::string cut, folder;
    std::map<JobId, OneJob> jobs;
  };
  static void fail(OneJob& job, std::string code, std::string text);
  [[nodiscard]] static bool done(const One& one);

  Duration again_;
  std::deque<One> all_;  ///< oldest first
};

}  // namespace sluice::manager
