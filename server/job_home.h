#pragma once
/// A job's home: its vector clock, data leases, evaluations and loss curve. A pure state machine: the lane that holds it hands it messages and the time; it
/// moves and replicates as a whole later. One thread.
///
/// bsp: the clock is the unit. Commits of a clock are gathered; when no slot with work has yet to commit it, the home sends the shards one Apply
/// (take_apply()), and when all have done it the gate opens. Leases and evaluations begin at the borders between clocks only; an evaluation waits until no
/// training lease is out, and training waits for its end, so it sees the parameters of one step.
///
/// A job may end before its epochs: with patience (early stopping) once the held-out loss has not fallen for that many epochs, where its loss has converged
/// (base/convergence.h), or its target is reached (detail/ends.h). No training leases are given out then; those that are out are trained to their end, then the
/// last scoring is of the final parameters, as always.
///
/// A model with phases (Join::phases passes): once all rows of a pass are committed, and nothing is being scored, one slot gets the lease of its end. Its
/// commit becomes an Apply to every shard, as a clock's does; only then the next pass begins, after a scoring where one is due. So nothing of a pass is
/// computed at parameters of the one before, and a scoring sees those of one phase. A slot that dies at it leaves nothing behind: the next one begins from the
/// same values.
/// A checkpoint's cut (job_home_cut.cc): close() shuts the gate; a slot that commits then waits for its answer until reopen(), under bsp before the next clock,
/// so that it has pushed nothing of its next batch; once no slot can have a batch under way the home is quiet(), and cut() says all that it knows.
///
/// Rules it keeps, whatever clients send and however often: each example of each epoch is committed once; a commit is one state change, applied once, in its
/// client's sequence; a client holds at most one lease; SSP's bound (see vector_clock.h); a client that left or expired holds back nobody, and what it had
/// leased goes to others.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/loss_curve.h"
#include "base/result.h"
#include "proto/messages.h"
#include "proto/saved_model.h"
#include "server/detail/chunk_schedule.h"
#include "server/detail/evaluation.h"
#include "server/detail/first_values.h"
#include "server/detail/open_clock.h"
#include "server/detail/phases.h"
#include "server/detail/report_window.h"
#include "server/vector_clock.h"

namespace sluice::server {

class JobHome {
 public:
  static constexpr std::uint32_t kRetryMs = 20;         ///< of kWait
  static constexpr Duration kGather = from_ms(30'000);  ///< bsp: how long the first clock waits for slots_min slots
  static constexpr std::uint64_t kEvaluateRatio = 2;    ///< an evaluation between epochs waits until this many × its rows were trained on since the last began
  static constexpr std::uint32_t kPhasesMax = 1'000'000;
  static constexpr std::size_t kClientsMax = 1 << 16;  ///< known at once; expired ones are forgotten

  /// Opens the job as the first Join says. Errors: kRejected, kBadConfig: the job spec, no rows, no chunk size, tables or an optimizer that can't be.
  /// resumed: as a checkpoint says; also kBadData: it is of other data or other tables, or can't be.
  [[nodiscard]] static Result<std::unique_ptr<JobHome>> open(JobId job, std::uint32_t generation, const proto::Join& join,
                                                             const ResumedHome* resumed = nullptr);

  /// Errors: kRejected: the data or the tables differ from what the job was opened with; kFull. A slot that is in already is answered with where it is.
  [[nodiscard]] Result<proto::JoinReply> join(Incarnation client, const proto::Join& join);
  /// Idempotent. The lease goes back from what was committed of it.
  void leave(Incarnation client);
  /// A client that holds a lease gets the same one again. `now`: bsp's wait for the job's slots at its beginning ends by it.
  /// Errors: kNotFound: not in the job.
  [[nodiscard]] Result<proto::LeaseReply> lease(Incarnation client, Instant now = {});
  /// Errors: kNotFound: not in the job; kRejected: what is wrong with it: its number is consumed, a repeat gets the same answer, nothing else changed.
  [[nodiscard]] Result<proto::CommitReply> commit(Incarnation client, const proto::Commit& commit, Instant now);
  /// Repeats of a lease's number count once. Errors: kNotFound, kRejected (the lease then goes to others).
  [[nodiscard]] Result<proto::CommitReply> evaluate_commit(Incarnation client, const proto::EvaluateCommit& commit, Instant now);
  /// Repeats of a lease's number count once. Errors: kNotFound, kRejected (the lease then goes to others).
  [[nodiscard]] Result<proto::CommitReply> phase_commit(Incarnation client, const proto::PhaseCommit& commit, Instant now);
  /// Errors: kNotFound.
  [[nodiscard]] Result<proto::Gate> gate(Incarnation client);
  /// Takes out every client for which `expired` holds, for ever; counts a batch as redone where one may have been under way.
  void expire(const std::function<bool(Incarnation)>& expired);
  /// bsp: a clock that every slot has committed; or a phase's end: to be applied by every shard; once each. The next clock or pass begins when applied() says
  /// so.
  [[nodiscard]] std::optional<proto::Apply> take_apply() { return std::exchange(apply_, std::nullopt); }
  /// Every shard has applied that clock. Other clocks than the one that was taken last are ignored.
  void applied(std::uint64_t clock);
  /// A shard can't: the job is lost, and every slot that asks anything is told why.
  void apply_failed(Error why) { broken_ = std::move(why); }
  /// Slots that may begin now, or ask for work again, and were told otherwise before: send each a Gate.
  [[nodiscard]] std::vector<GateRise> take_gate_rises();

  /// Whether the client has committed all clocks before this one (in its own count). True of one that is not in the job: it has nothing to commit.
  [[nodiscard]] bool reached(Incarnation client, std::uint64_t clock) const { return !clock_.has(client) || clock_.clock(client) >= clock; }

  /// No slot begins a batch from here on, until reopen(). Idempotent.
  void close() { closed_ = true; }
  /// Whether what this client asks must wait for reopen(): all of it, in its order, and the answer to its last commit. REQUIRES: closed.
  [[nodiscard]] bool waits(Incarnation client) const;
  /// No slot has a batch under way: shards hold what is committed, and nothing else. REQUIRES: closed.
  [[nodiscard]] bool quiet() const;
  /// REQUIRES: quiet().
  [[nodiscard]] proto::SavedHome cut() const;
  void reopen(Instant now);

  [[nodiscard]] proto::HomeState state() const;
  /// Something changed since the last report_taken().
  [[nodiscard]] bool changed() const { return window_.changed(); }
  /// The state changed since, or a window of the first steps is full: report at once.
  [[nodiscard]] bool urgent() const { return window_.urgent(); }
  /// The news since the last report_taken(); its totals make repeats harmless.
  [[nodiscard]] proto::JobReport report() const;
  /// The report is on its way: its window is closed, and a point of the loss curve.
  void report_taken();

  /// A job that begins with values from a file: no slot gets work, and it has not finished, until every lane with shards of it has read them. A lane that
  /// can't: apply_failed().
  [[nodiscard]] bool started() const { return started_; }
  void start();
  [[nodiscard]] const proto::StartSpec& start_spec() const { return spec_.start; }

  [[nodiscard]] bool bsp() const { return bsp_.has_value(); }
  [[nodiscard]] std::uint32_t generation() const { return generation_; }
  [[nodiscard]] const std::vector<proto::TableSpec>& tables() const { return opened_.tables; }
  /// What is kept of it with the job's values.
  [[nodiscard]] proto::SavedJob saved() const { return {job_, spec_, opened_.data, step_}; }
  [[nodiscard]] const LossCurve& curve() const { return curve_; }
  [[nodiscard]] std::size_t slots() const { return clock_.slots(); }

 private:
  using Work = std::variant<Piece, EvaluatePiece, PhasePiece>;
  struct Lease {
    std::uint64_t number = 0;
    Work work;
  };
  struct Client {
    std::optional<Lease> lease;
    std::uint64_t commit_sequence = 0;  ///< the last one's
    std::optional<Result<proto::CommitReply>> last_answer;
  };

  JobHome(JobId job, std::uint32_t generation, proto::JobSpec spec, const proto::Join& join);
  [[nodiscard]] Result<void> check(Incarnation client, const Client& record, const proto::Commit& commit) const;
  [[nodiscard]] proto::CommitReply apply(Incarnation client, Client& record, const proto::Commit& commit, Instant now);
  [[nodiscard]] proto::LeaseReply lease_for(Incarnation client, Client& record);
  [[nodiscard]] static proto::LeaseReply say(const Lease& lease);
  void take_out(Incarnation client);
  void take_back(Client& record);
  /// No training is left, or early stopping ended it and nobody holds a training lease any more.
  [[nodiscard]] bool training_over() const;
  [[nodiscard]] bool any_training() const;
  /// Passes that are over: with phases, their ends applied.
  [[nodiscard]] std::uint32_t passes_done() const { return phases_.any() ? phases_.done : schedule_.epochs_done(); }
  [[nodiscard]] bool phase_due() const;
  void phase_applied();
  [[nodiscard]] bool at_phase(Incarnation client) const;
  [[nodiscard]] bool may_train() const;
  /// Those without work are told to ask for it now.
  void wake_idle();
  [[nodiscard]] bool evaluation_due() const;
  /// Whether training goes on: after new scores (patience, a target of them), and after a new point of the curve (convergence, a target of the loss).
  void judge();
  void judge_curve();
  /// No more training leases, for this reason; empty: nothing.
  void end_training(std::string why);
  void begin_evaluation();
  [[nodiscard]] bool finished() const;
  /// bsp: after anything changed. Closes the clock when its last slot has committed or gone; at a border between clocks, begins an evaluation or gives out
  /// work.
  void settle(Instant now);
  void at_border(Instant now);
  /// bsp, restored: the k-th slot goes on with the k-th slot's lease. False: not all slots are there yet.
  [[nodiscard]] bool give_places(Instant now);
  [[nodiscard]] Result<void> resume(const ResumedHome& from);
  [[nodiscard]] bool gathered(Instant now);

  JobId job_;
  std::uint32_t generation_;
  proto::JobSpec spec_;
  proto::Join opened_;
  VectorClock clock_;
  ChunkSchedule schedule_;
  Evaluation evaluation_;
  Phases phases_;
  std::map<Incarnation, Client> clients_;  ///< also those that left: their commit numbers go on if they come back
  std::uint64_t next_lease_ = 1;
  std::uint64_t step_ = 0;
  std::uint64_t examples_ = 0;
  std::uint64_t redone_ = 0;
  std::optional<OpenClock> bsp_;  ///< none: another consistency
  bool started_;
  bool closed_ = false;
  std::set<Incarnation> held_;                ///< closed: have committed since, and wait for the answer
  std::vector<std::optional<Piece>> places_;  ///< bsp, restored: the slots' leases, in the order of their ids, until there are slots again
  std::optional<proto::Apply> apply_;
  std::optional<Error> broken_;
  std::vector<GateRise> woken_;
  std::optional<double> best_score_;          ///< the least held-out loss so far, with patience
  std::uint32_t best_epoch_ = 0;              ///< epochs done when it was scored
  std::string ended_;                         ///< why no more work is given out; empty while it is
  std::uint32_t epochs_evaluated_ = 0;        ///< epochs done when the newest evaluation began
  std::uint64_t examples_at_evaluation_ = 0;  ///< committed when it began
  std::uint64_t step_at_evaluation_ = 0;      ///< the step when it began
  ReportWindow window_;
  LossCurve curve_;
};

}  // namespace sluice::server
