#pragma once
/// Every job the manager knows: what was asked, where it stands, its loss curve, and what is carried from round to round. Fed by job homes' reports, which are
/// checked, bounded and never believed blindly. One thread (the manager's); no I/O: `take_dirty` says what to store.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/loss_curve.h"
#include "base/result.h"
#include "manager/cluster_view.h"
#include "manager/live_values.h"
#include "manager/predictor.h"
#include "manager/quality.h"
#include "manager/rate_model.h"
#include "manager/remaining_prior.h"
#include "manager/running_quality.h"
#include "proto/job_spec.h"
#include "proto/messages.h"

namespace sluice::manager {

enum class JobState : std::uint8_t {
  kWaiting,
  kRunning,
  kEvaluating,
  kPaused,  ///< as asked: holds no worker slot until it is resumed; what the servers have of it stays
  kDone,
  kFailed,
  kCancelled,  ///< ended as asked
};
[[nodiscard]] std::string_view name_of(JobState state);
[[nodiscard]] std::string_view name_of(JobPhase phase);

/// Monotonic time begins anew with a host; wall time tells how long a record lay.
struct StoredAt {
  Instant now;
  std::int64_t wall_ms = 0;
};

/// What a job's losses came to.
struct Outcome {
  double final_loss = 0, best_loss = 0, loss_seconds = 0;  ///< losses: 0 before the first report
  std::optional<double> seconds_to_90;
};

struct Job {
  // What every round may touch comes first: together, in one line of the cache.
  JobId id;
  std::uint32_t generation = 1;
  JobState state = JobState::kWaiting;
  JobState resumes_as = JobState::kWaiting;  ///< of a paused job: where it stands beneath the pause
  std::uint32_t slots = 0;                   ///< granted
  static constexpr std::uint32_t kNoRow = 0xffffffff;
  std::uint32_t row = kNoRow;        ///< its place in the rounds' view
  std::uint32_t moves_measured = 0;  ///< what move_cost is the mean of
  Duration move_cost;
  std::uint64_t moves_in = 0;  ///< worker slots that were moved to it

  proto::JobSpec spec;
  std::string spec_json;         ///< as submitted and granted; what was changed since is in `spec` alone
  Errc code = Errc::kJobFailed;  ///< of a failed job
  std::string reason;            ///< why it ended, or what is wrong with it; a waiting job's reason is the cluster's to say
  Instant submitted;
  std::optional<double> ended_seconds;  ///< from submission

  // From reports: totals, and the newest scores.
  std::uint64_t step = 0, examples = 0, examples_total = 0, redone_batches = 0, reports = 0;
  std::uint64_t told = 0;  ///< of the reports: those that its predictor heard; some are one there
  double slot_seconds = 0, staleness = 0, steps_per_s = 0, examples_per_s = 0;
  std::uint64_t evaluated = 0;
  std::uint64_t evaluated_at_step = 0;
  double validation_loss = 0, metric = 0;
  std::string metric_name;

  // The curve: seconds are from submission, by the manager's clock.
  LossCurve curve;
  double first_loss = 0, loss = 0, best_loss = 0, last_report_loss = 0;  ///< first as reported; loss and best are smoothed
  SmoothLoss smooth;                                                     ///< what `loss` is of
  RunningQuality quality;                                                ///< of all reports, however many the curve has merged
  double largest_drop = 0;                                               ///< between two reports
  std::vector<double> rungs;                                             ///< smoothed losses at successive halving's rungs (rung_step), of those it has passed
  double steps_per_slot_second = 0;
  bool diverging = false, plateau = false;
  std::unique_ptr<Predictor> predictor;
  /// Where its target is of held-out scores: it hears those, with the sign turned of a metric that is to rise. Null: it has no such target.
  std::unique_ptr<Predictor> score_predictor;
  RateModel rates;

  [[nodiscard]] bool ended() const { return state == JobState::kDone || state == JobState::kFailed || state == JobState::kCancelled; }
  [[nodiscard]] bool paused() const { return state == JobState::kPaused; }
  [[nodiscard]] LiveValues live_values() const { return {spec.weight, spec.slots_min, spec.slots_max}; }
  [[nodiscard]] JobPhase phase() const;
  [[nodiscard]] double seconds_since_submission(Instant now) const { return ended_seconds.value_or((now - submitted).seconds()); }
  /// So far, or in the end.
  [[nodiscard]] Outcome outcome(Instant now) const;
  /// Steps that its epochs are, from what its home says there is to train on; 0 before the first report.
  [[nodiscard]] double steps_max() const;
  /// Steps that it declared: steps_max(); 0 where its end depends on what its losses do (stop), for its epochs are a limit only then.
  [[nodiscard]] double declared_steps() const { return spec.stop_converged || spec.patience_epochs > 0 ? 0 : steps_max(); }
  /// Steps that it is expected to take in all: as declared, else as past jobs of its model took, but no more than its epochs are. 0: not known.
  [[nodiscard]] double expected_steps(const RemainingPrior& prior) const;
  /// What the predictor says of `steps` from where the job stands now, of which it may not have heard all yet. REQUIRES: a predictor that is ready().
  [[nodiscard]] Forecast after(double steps) const { return predictor->after(unheard_steps() + steps); }
  /// Steps since the last one that its predictor has heard of.
  [[nodiscard]] double unheard_steps() const { return static_cast<double>(step - std::min(step, told_step_)); }
  /// L∞ by the predictor; the best loss so far before it has an opinion.
  [[nodiscard]] double floor() const;
  /// (loss − floor) / (first − floor) in [0, 1]; 1 before the first report.
  [[nodiscard]] double normalized_loss() const;

 private:
  friend class JobTable;
  std::optional<Outcome> came_to_;                 ///< of one that ended before this manager began
  double seconds_seen_ = 0;                        ///< of the last report, by its home's clock
  double rate_steps_ = 0, rate_slot_seconds_ = 0;  ///< sums that forget: steps_per_slot_second is their ratio
  double slot_seconds_seen_ = 0;
  std::uint32_t slots_seen_ = 0;  ///< at the report before
  bool to_refit_ = false, touched_ = false;
  double usual_staleness_ = 0;   ///< what the predictor has mostly seen
  LossPoint untold_;             ///< of too few examples to tell the predictor yet; weight 0: none
  double untold_staleness_ = 0;  ///< its steps' mean
  std::uint64_t told_step_ = 0;  ///< of the point that it heard last
};

/// What a report changed.
enum class News : std::uint8_t {
  kNone,        ///< nothing (a repeat, an ended or unknown job)
  kLoss,        ///< totals, perhaps a new point on the curve
  kEvaluating,  ///< training is over; held-out scores are being made
  kFinished,    ///< done
  kPhase,       ///< it began or ceased to diverge, or something can be foretold of it from now on
};

class JobTable {
 public:
  static constexpr std::size_t kLiveMax = 100'000;
  /// `make`: the predictor each job gets.
  explicit JobTable(MakePredictor make) : make_(std::move(make)) {}

  /// All or none. Errors: kBadConfig (a name that a live job or another of these has), kFull. Ids increase in the order given.
  [[nodiscard]] Result<std::vector<JobId>> submit(std::vector<proto::JobSpec> specs, Instant now);
  /// A report of a job's home. Implausible numbers (NaN, negative time, a loss 100 × the largest plausible) mark the job as diverging with the reason; they
  /// never enter its curve.
  News report(const proto::JobReport& report, Instant now);
  /// A restored job's curve from before: it then counts as having learnt that. Seconds are of its first life. REQUIRES: no report of it was taken.
  void remember(JobId id, const std::vector<LossPoint>& curve, Instant now);
  /// Ends a live job. False if it is unknown or has ended.
  bool finish(JobId id, std::string reason, Instant now);
  bool fail(JobId id, Errc code, std::string words, Instant now);
  bool cancel(JobId id, Instant now);
  /// A live job holds no worker slots from the next round on, until it is resumed. False if it is unknown, has ended, or is paused already.
  bool pause(JobId id);
  /// False if it is unknown or not paused.
  bool resume(JobId id);
  /// REQUIRES: checked values (with_changes). False if it is unknown, has ended, or has these values.
  bool set(JobId id, const LiveValues& values);
  /// Marks a job that was granted its first slot as running.
  void started(JobId id);

  /// Ended jobs beyond the newest `keep` of them that may be forgotten, the longest ended first: not those of whose end no round has heard yet, nor, of a group
  /// that lives, the ended one that came lowest, for that counts for the others after a restart too. Some hundreds at once, so that a manager with very many
  /// does other things meanwhile.
  [[nodiscard]] std::vector<JobId> beyond(std::size_t keep) const;
  /// Nothing of it is known any more. REQUIRES: beyond() named it, and no round was since.
  void forget(JobId id);
  /// How many jobs were.
  [[nodiscard]] std::uint64_t forgotten() const { return next_id_ - 1 - jobs_.size(); }
  /// What the next job's id is; it outlives the manager, for an id is never given twice.
  [[nodiscard]] std::uint64_t next_id() const { return next_id_; }
  void go_on_from(std::uint64_t next_id) { next_id_ = std::max(next_id_, next_id); }

  [[nodiscard]] Job* find(JobId id);
  [[nodiscard]] const Job* find(JobId id) const;
  /// The live job of that name, else the newest ended one.
  [[nodiscard]] const Job* find(std::string_view name) const;
  [[nodiscard]] std::map<JobId, Job>& all() { return jobs_; }
  [[nodiscard]] const std::map<JobId, Job>& all() const { return jobs_; }
  /// Live jobs, by id.
  [[nodiscard]] const std::set<JobId>& live() const { return live_; }

  /// The job whose reports have waited longest to be taken in by its predictor; takes it off the list. Null: none waits.
  [[nodiscard]] Job* next_to_refit();

  /// Jobs that are new, ended, or of which anything is otherwise that a policy may see, since the call before; by id. One reader: the rounds.
  [[nodiscard]] std::vector<Job*> take_touched();
  void touch(Job& job);

  /// The best smoothed loss of the group's members so far, ended ones included; 0: none was reported, or no group.
  [[nodiscard]] double group_best(const std::string& group) const;

  /// What finished jobs taught. Learns from each job that was trained to its end.
  [[nodiscard]] const RemainingPrior& prior() const { return prior_; }
  void set_prior(RemainingPrior prior) { prior_ = std::move(prior); }
  /// True once after it learnt: store it.
  [[nodiscard]] bool take_prior_dirty() { return std::exchange(prior_dirty_, false); }
  void mark_prior_dirty() { prior_dirty_ = true; }

  /// Ids whose stored record is out of date; clears the list.
  [[nodiscard]] std::set<JobId> take_dirty() { return std::exchange(dirty_, {}); }
  [[nodiscard]] bool dirty() const { return !dirty_.empty(); }
  void mark_dirty(JobId id) { dirty_.insert(id); }
  /// The record that outlives the manager: spec, live values, state, reason, scores; curves do not.
  [[nodiscard]] static std::string stored(const Job& job, StoredAt at);
  /// Takes a stored record back: a live job waits again, a paused one stays paused. Errors: kIo (not a record of ours).
  [[nodiscard]] Result<void> restore(const std::string& record, StoredAt at);

 private:
  Result<void> restore_json(const nlohmann::json& json, StoredAt at);
  static void take_totals(Job& job, const proto::JobReport& report);
  static void hear_score(Job& job, const proto::JobReport& report);
  News add_point(Job& job, const proto::JobReport& report, Instant now);
  News diverges(Job& job, std::string why);
  static void learn_rates(Job& job, const proto::JobReport& report);
  void tell_predictor(Job& job, const LossPoint& point, double staleness);
  void end(Job& job, JobState state, std::string reason, Instant now);
  void begin(Job& job);
  void improve_group(Job& job);
  void ended_in_group(const Job& job);

  MakePredictor make_;
  RemainingPrior prior_ = RemainingPrior::shipped();
  bool prior_dirty_ = false;
  std::map<JobId, Job> jobs_;
  std::unordered_map<JobId, Job*> by_id_;  ///< the same: found in one step
  std::set<JobId> live_, dirty_;
  std::deque<Job*> to_refit_;
  struct Group {
    double best = 0;                  ///< as long as one of its jobs is known
    std::size_t known = 0;            ///< jobs of it, ended ones included
    std::vector<Job*> members;        ///< live
    const Job* best_ended = nullptr;  ///< of those that are known: what `best` is told from after a restart
  };
  std::map<std::string, Group> groups_;
  std::vector<Job*> touched_;                        ///< they stay where they are
  std::map<std::string, JobId, std::less<>> names_;  ///< the newest job of each name
  std::deque<JobId> ended_;                          ///< by when they did; after a restart those of before by id
  std::uint64_t next_id_ = 1;
};

}  // namespace sluice::manager
