#pragma once
/// All that the manager knows and what it does with it; the actor around it moves messages. One thread. Blocks only for its own small files: the store, the
/// decision log, losses.csv.

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manager/decision_log.h"
#include "manager/detail/checkpoints.h"
#include "manager/detail/loss_log.h"
#include "manager/detail/measured.h"
#include "manager/detail/outbox.h"
#include "manager/job_table.h"
#include "manager/manager.h"
#include "manager/membership.h"
#include "manager/placement.h"
#include "manager/ring_keeper.h"
#include "manager/round.h"
#include "manager/store.h"

namespace sluice::manager {

class Core {
 public:
  Core(const ManagerOptions& options, const Clock& clock, std::unique_ptr<Store> store, std::unique_ptr<Policy> policy, MakePredictor predictor);
  /// Takes the leadership, finds what an earlier manager left, and opens the logs. Errors: kIo, kCannotConnect.
  [[nodiscard]] Result<void> open();

  // Membership. After any of these `table_changed` may hold.
  /// Errors: as Membership::add; kIo (new incarnations could not be made durable).
  [[nodiscard]] Result<const Member*> join(const proto::Register& body, const net::PeerId& peer, std::uint64_t request);
  [[nodiscard]] const Member* heartbeat(const proto::Heartbeat& beat, const net::PeerId& peer) { return members_.heartbeat(beat, peer, clock_.now()); }
  /// Members that fell silent: their jobs fail (server), their slots vanish (worker). `due`: when the manager meant to look; where it comes a heartbeat late or
  /// more, it was held up itself (a paused machine, memory being read back), the heartbeats of that time may still be under way, and nobody is blamed for it.
  void expire(Instant due);
  [[nodiscard]] const Membership& members() const { return members_; }
  [[nodiscard]] const RingKeeper& ring() const { return ring_; }
  /// True once after each new ring version: publish it.
  [[nodiscard]] bool take_table_changed() { return std::exchange(table_changed_, false); }

  // Jobs.
  /// Durable on return. Errors: as JobTable::submit; kIo.
  [[nodiscard]] Result<std::vector<JobId>> submit(std::vector<proto::JobSpec> specs);
  // What people order, by names (orders.cc). Each is durable on return and idempotent; a round follows at once where it matters to one. All or none of the
  // names: kNotFound with the nearest one. kBadConfig where a job has ended (but to cancel it is no mistake). kIo: it is done, and a restarted manager would
  // not know. Answers as docs/calls.md says.
  [[nodiscard]] Result<nlohmann::json> cancel(const std::vector<std::string>& names);
  [[nodiscard]] Result<nlohmann::json> pause(const std::vector<std::string>& names);
  [[nodiscard]] Result<nlohmann::json> resume(const std::vector<std::string>& names);
  /// Errors: also as with_changes().
  [[nodiscard]] Result<nlohmann::json> set(const std::string& name, const nlohmann::json& values);
  /// Begins a checkpoint of live jobs (no names: of all), called `cut`, in `folder`; how it goes, checkpoints() says. Errors: kNotFound with the nearest name;
  /// kBadConfig: a job has ended or is being saved, a bad name or path; kFull.
  [[nodiscard]] Result<nlohmann::json> checkpoint(const std::vector<std::string>& names, const std::string& folder, const std::string& cut);
  [[nodiscard]] Checkpoints& checkpoints() { return checkpoints_; }
  /// What a restored job had reported before it was saved: points of its curve, so that it is not taken for a job that has learnt nothing.
  void remember(JobId job, const std::vector<LossPoint>& curve);
  void report(ServerId server, const proto::JobReport& report);
  void fault(JobId job, std::uint32_t generation, const std::string& worker, const std::string& code, const std::string& words);
  void moved(const proto::Moved& moved);
  /// A server could not write what it had of a finished job.
  void not_kept(JobId job, const Member& server, const std::string& words);
  [[nodiscard]] const JobTable& jobs() const { return jobs_; }

  // Rounds.
  /// A little of the predictors' work, between rounds. True if there was any.
  bool refit_some();
  /// Runs a round if one is due, writes its record, and queues the grants that follow from it. True if it ran.
  bool round_if_due();
  [[nodiscard]] Instant next_timer() const;
  [[nodiscard]] Outbox& outbox() { return outbox_; }
  [[nodiscard]] proto::Grant grant_of(WorkerId worker) const;
  [[nodiscard]] DecisionId decision() const { return decision_; }
  [[nodiscard]] Term term() const { return term_; }
  [[nodiscard]] std::uint32_t heartbeat_ms() const { return options_.heartbeat_ms; }
  [[nodiscard]] std::uint32_t suspicion_ms() const { return options_.suspicion_ms; }

  // For people (answers.cc, explain.cc).
  [[nodiscard]] nlohmann::json ps() const;
  /// job empty: all, and the prior; of one job also what would change what it has (explain.cc). Errors: kNotFound.
  [[nodiscard]] Result<nlohmann::json> explain(const std::string& job) const;
  /// What past jobs taught, alone.
  [[nodiscard]] nlohmann::json prior() const;
  [[nodiscard]] nlohmann::json summary() const;
  void write_summary();
  /// Rows and records to the operating system; what could not be stored is tried again.
  void flush();

 private:
  void problem(const std::string& key, const Result<void>& outcome);
  void check_builds();
  void lose(const Member& member);
  void refresh_ring();
  Result<void> put(const std::string& key, const std::string& value);
  Result<void> store_jobs();
  /// Ended jobs beyond those that are kept: out of the store, then out of the table. Not before the servers have forgotten them.
  void forget_ended();
  Result<void> restore_next_id(const std::string& text);
  [[nodiscard]] Result<std::vector<JobId>> named(const std::vector<std::string>& names) const;
  void asked(const Job& job, Reason reason, const std::string& sentence);
  Result<nlohmann::json> ordered(nlohmann::json jobs, bool changed);
  Result<void> restore();
  Result<void> restore_prior(const std::string& text);
  /// proto::EndJob's: only what was trained to its end is kept.
  [[nodiscard]] std::string keep_of(JobId job) const;
  void round(Instant now, const std::string& trigger);
  void write(const nlohmann::json& line, const char* key);
  void ask_round(const std::string& trigger) { trigger_ = trigger_.empty() ? trigger : trigger_; }
  /// What every answer about a job begins with.
  [[nodiscard]] nlohmann::json head_of(const Job& job) const;
  /// The share that its target is foretold with; 0 where it has none (a share is not known without asking the policy).
  [[nodiscard]] double share_of(const Job& job) const;
  [[nodiscard]] nlohmann::json ps_of(const Job& job) const;
  [[nodiscard]] nlohmann::json summary_of(const Job& job, Instant first_submission) const;
  [[nodiscard]] nlohmann::json explained(const Job& job, bool alone) const;
  [[nodiscard]] nlohmann::json lacks(const Job& job) const;
  [[nodiscard]] std::string reason_of(const Job& job) const;
  [[nodiscard]] Instant first_submission() const;  ///< now, if there was none
  [[nodiscard]] double wall_seconds() const;

  ManagerOptions options_;
  std::string out_dir_;
  const Clock& clock_;
  Instant began_;
  std::unique_ptr<Store> store_;
  std::map<std::string, std::uint64_t> revisions_;
  Term term_;
  Membership members_;
  RingKeeper ring_;
  bool table_changed_ = false;
  JobTable jobs_;
  Fleet fleet_;
  Rounds rounds_;
  DecisionLog log_;
  LossLog losses_;
  Outbox outbox_;
  Checkpoints checkpoints_;
  std::map<SlotRef, std::pair<DecisionId, Instant>> decided_;  ///< of what each slot was granted last
  std::map<SlotRef, proto::Moved> moved_;                      ///< what each slot said last
  DecisionId decision_;
  std::string trigger_;  ///< a round is wanted at once, for this
  Instant next_round_;
  std::set<JobId> ending_;  ///< ended since the last round
  std::map<std::string, std::string> problems_;
  bool summary_due_ = false;
  Instant summary_at_, store_again_, forget_again_;
  Measured move_ms_, stall_ms_, round_ms_;
};

}  // namespace sluice::manager
