#include "manager/job_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "base/fetch.h"
#include "base/log.h"
#include "manager/quality.h"

namespace sluice::manager {
namespace {

/// A loss this many times what it began with is not training.
constexpr double kDivergingFactor = 100;
constexpr double kRateMemorySeconds = 1;             ///< of slot time
constexpr double kStalenessWeight = 0.1;             ///< of a report
constexpr double kSteady = 0.1, kSteadySlots = 0.5;  ///< how far the slots at work in a window are from those granted, at most, for the rate to be theirs
constexpr double kTooFew = 4;                        ///< a report with less than one part in so many of the usual examples is twice as unsure, and more
constexpr std::uint64_t kHeardMost = 1024;           ///< a predictor hears of a job when this part of its steps is new
constexpr std::size_t kForgottenAtOnce = 256;
constexpr std::size_t kPlateauReports = 12;
constexpr std::uint64_t kPlateauPart = 16;  ///< of the steps: one of so many
constexpr double kPlateauShare = 0.002;     ///< of the range so far

/// What is impossible about a report's numbers, or nothing.
std::string impossible(const proto::JobReport& r) {
  for (const double x : {r.seconds, r.loss_sum, r.loss_squares, r.slot_seconds, r.staleness_mean, r.validation_loss, r.metric})
    if (!std::isfinite(x)) return "its home reported a number that is not finite";
  if (r.seconds < 0 || r.slot_seconds < 0) return fmt::format("its home reported a negative time ({} s, {} slot-seconds)", r.seconds, r.slot_seconds);
  if (r.window_examples > r.examples || r.window_steps > r.step) return "its home reported a window larger than its totals";
  return {};
}

/// Why the window's loss is not training, or nothing.
std::string jumped(const proto::JobReport& r, const Job& job) {
  if (r.window_examples == 0 || job.reports == 0) return {};
  const double loss = r.loss_sum / static_cast<double>(r.window_examples);
  const double usual = std::max({std::abs(job.first_loss), std::abs(job.best_loss), 1e-6});
  if (std::abs(loss) <= kDivergingFactor * usual) return {};
  return fmt::format("its loss jumped to {:.4g}, more than {:.0f} times what it began with", loss, kDivergingFactor);
}

LossPoint point_of(const proto::JobReport& r, double seconds) {
  const double n = static_cast<double>(r.window_examples), mean = r.loss_sum / n;
  const double variance = std::max(0.0, r.loss_squares / n - mean * mean);  // of single examples; of a batch's mean: divided by the batch
  const double batch = n / static_cast<double>(std::max<std::uint64_t>(r.window_steps, 1));
  return {.step = r.step, .examples = r.examples, .seconds = seconds, .loss = mean, .spread = std::sqrt(variance / batch), .weight = r.window_examples};
}

/// The loss of the newest reports is no better than that of those before them. Of a long job both are of many: within a few seconds nothing falls that takes
/// hours.
bool flat(const LossCurve& curve, double range) {
  const auto points = curve.points();
  if (points.size() < 2 * kPlateauReports) return false;
  const std::uint64_t now = points.back().step, part = now / kPlateauPart;
  const auto back_to = [&](std::uint64_t step, std::size_t begin) {
    while (begin > 0 && points[begin - 1].step > step) --begin;
    return begin;
  };
  const std::size_t few = points.size() - kPlateauReports, newer = back_to(now - part, few);
  const std::size_t older = back_to(now - 2 * part, newer < few ? newer - std::min<std::size_t>(newer, 1) : newer - kPlateauReports);  // of a long job merged
  const auto mean = [&](std::size_t from, std::size_t to) {
    double sum = 0, weights = 0;
    for (const LossPoint& p : points.subspan(from, to - from)) sum += static_cast<double>(p.weight) * p.loss, weights += static_cast<double>(p.weight);
    return sum / weights;
  };
  return older < newer && mean(older, newer) - mean(newer, points.size()) < kPlateauShare * range;
}

/// From its first step on. Of a job that was there before this manager the first point is what it came to meanwhile.
bool heard_whole(const Job& job) {
  const auto points = job.curve.points();
  return !points.empty() && points.front().weight == points.front().examples;
}

}  // namespace

std::string_view name_of(JobState state) {
  switch (state) {
    case JobState::kWaiting:
      return "waiting";
    case JobState::kRunning:
      return "running";
    case JobState::kEvaluating:
      return "evaluating";
    case JobState::kPaused:
      return "paused";
    case JobState::kDone:
      return "done";
    case JobState::kFailed:
      return "failed";
    case JobState::kCancelled:
      return "cancelled";
  }
  return "failed";
}

std::string_view name_of(JobPhase phase) {
  switch (phase) {
    case JobPhase::kWarmingUp:
      return "warming-up";
    case JobPhase::kTraining:
      return "training";
    case JobPhase::kPlateau:
      return "plateau";
    case JobPhase::kDiverging:
      return "diverging";
    case JobPhase::kEvaluating:
      return "evaluating";
  }
  return "training";
}

JobPhase Job::phase() const {
  if ((paused() ? resumes_as : state) == JobState::kEvaluating) return JobPhase::kEvaluating;
  if (diverging) return JobPhase::kDiverging;
  if (reports < 2) return JobPhase::kWarmingUp;
  return plateau ? JobPhase::kPlateau : JobPhase::kTraining;
}

double Job::steps_max() const {
  const std::uint64_t rows = spec.step_rows();
  return static_cast<double>(examples_total / rows + (examples_total % rows > 0 ? 1 : 0));
}

double Job::expected_steps(const RemainingPrior& prior) const {
  if (const double declared = declared_steps(); declared > 0) return declared;
  const double most = steps_max(), done = static_cast<double>(step);
  const double expected = prior.total_steps(spec.model, done).steps;
  return most >= done && most > 0 ? std::min(expected, most) : expected;
}

double Job::floor() const {
  if (predictor == nullptr || !predictor->ready()) return best_loss;
  return std::min(best_loss, predictor->floor());
}

double Job::normalized_loss() const {
  if (reports == 0) return 1;
  const double bottom = floor();
  return first_loss > bottom ? std::clamp((loss - bottom) / (first_loss - bottom), 0.0, 1.0) : 1;
}

Outcome Job::outcome(Instant now) const {
  if (came_to_) return *came_to_;
  return {final_level(curve.points()), quality.best(), quality.loss_seconds(seconds_since_submission(now)), quality.seconds_to_90()};
}

Result<std::vector<JobId>> JobTable::submit(std::vector<proto::JobSpec> specs, Instant now) {
  if (live_.size() + specs.size() > kLiveMax) return sluice::fail(Errc::kFull, fmt::format("{} jobs are live and {} is the most", live_.size(), kLiveMax));
  std::set<std::string_view> fresh;
  for (const auto& spec : specs) {
    const auto known = names_.find(spec.name);
    const bool taken = known != names_.end() && live_.contains(known->second);
    if (taken || !fresh.insert(spec.name).second)
      return sluice::fail(Errc::kBadConfig, fmt::format("there is a job named '{}' already: cancel it, or take another name", spec.name));
  }
  std::vector<JobId> ids;
  for (auto& spec : specs) {
    const JobId id{next_id_++};
    Job& job = jobs_[id];
    job.id = id;
    by_id_[id] = &job;
    job.spec = std::move(spec);
    job.spec_json = proto::to_json(job.spec);
    job.submitted = now;
    names_[job.spec.name] = id;
    if (!job.spec.group.empty()) ++groups_[job.spec.group].known;
    begin(job);
    dirty_.insert(id);
    ids.push_back(id);
  }
  return ids;
}

/// A live job more.
void JobTable::begin(Job& job) {
  job.predictor = make_();
  if (job.spec.target && job.spec.target->of != "loss") job.score_predictor = make_();
  live_.insert(job.id);
  if (!job.spec.group.empty()) groups_[job.spec.group].members.push_back(&job);
  touch(job);
}

void JobTable::touch(Job& job) {
  if (!std::exchange(job.touched_, true)) touched_.push_back(&job);
}

std::vector<Job*> JobTable::take_touched() {
  std::sort(touched_.begin(), touched_.end(), [](const Job* a, const Job* b) { return a->id < b->id; });
  for (Job* job : touched_) job->touched_ = false;
  return std::exchange(touched_, {});
}

/// All of its members are told a better loss.
void JobTable::improve_group(Job& job) {
  Group& group = groups_[job.spec.group];
  if (group.best != 0 && group.best <= job.best_loss) return;
  group.best = job.best_loss;
  for (Job* member : group.members) touch(*member);
}

void JobTable::ended_in_group(const Job& job) {
  const Job*& best = groups_[job.spec.group].best_ended;
  if (job.reports > 0 && (best == nullptr || job.best_loss < best->best_loss)) best = &job;
}

News JobTable::report(const proto::JobReport& r, Instant now) {
  Job* job = find(r.job);
  if (job == nullptr) return News::kNone;
  fetch_lines(job, sizeof(*job));
  if (job->ended() || r.generation != job->generation || r.step < job->step) return News::kNone;
  News news = News::kNone;
  job->predictor->fetch();
  touch(*job);
  if (std::string why = impossible(r); !why.empty()) {
    news = diverges(*job, std::move(why));
  } else {
    std::string jump = jumped(r, *job);
    news = jump.empty() ? add_point(*job, r, now) : diverges(*job, std::move(jump));
    take_totals(*job, r);
  }
  // Where the home stands counts whatever its numbers are worth: a diverged job ends too.
  if (r.state == proto::HomeState::kFinished) {
    const std::string why = r.ended.empty() ? "epochs reached" : r.ended.substr(0, 512);
    finish(r.job, job->diverging ? fmt::format("{}; {}", why, job->reason) : why, now);
    return News::kFinished;
  }
  JobState& stage = job->paused() ? job->resumes_as : job->state;
  if (r.state == proto::HomeState::kEvaluating && stage != JobState::kEvaluating) {
    stage = JobState::kEvaluating;
    return News::kEvaluating;
  }
  return news;
}

void JobTable::take_totals(Job& job, const proto::JobReport& r) {
  job.step = r.step;
  job.examples = r.examples;
  job.examples_total = r.examples_total;
  job.slot_seconds = std::max(job.slot_seconds, r.slot_seconds);
  job.redone_batches = r.redone_batches;
  if (r.evaluated == 0) return;
  if (job.score_predictor != nullptr && (job.evaluated == 0 || r.evaluated_at_step != job.evaluated_at_step)) hear_score(job, r);
  job.evaluated = r.evaluated;
  job.evaluated_at_step = r.evaluated_at_step;
  job.validation_loss = r.validation_loss;
  job.metric = r.metric;
  job.metric_name = r.metric_name;
}

/// Scores are few: each is taken in at once.
void JobTable::hear_score(Job& job, const proto::JobReport& r) {
  const std::string& of = job.spec.target->of;
  if (of != "validation_loss" && of != r.metric_name) return;
  const double score = of == "validation_loss" ? r.validation_loss : proto::metric_rises(of) ? -r.metric : r.metric;
  job.score_predictor->declare(job.declared_steps());
  job.score_predictor->observe(
      {.step = r.evaluated_at_step, .examples = r.examples, .seconds = r.seconds, .loss = score, .weight = 1});  // of that step, not of a window
  (void)job.score_predictor->refit();
}

News JobTable::add_point(Job& job, const proto::JobReport& r, Instant now) {
  if (r.step <= job.step || r.window_examples == 0) return News::kNone;
  const LossPoint point = point_of(r, (now - job.submitted).seconds());
  if (!job.curve.add(point)) return News::kNone;
  job.examples_total = r.examples_total;
  job.predictor->declare(job.declared_steps());
  learn_rates(job, r);
  tell_predictor(job, point, r.staleness_mean);
  job.smooth.add(point.loss, static_cast<double>(r.window_examples));
  job.loss = job.smooth.loss();
  job.quality.add(point.seconds, point.loss, static_cast<double>(point.weight), job.loss);
  if (job.reports++ == 0) {
    job.first_loss = job.best_loss = job.loss;
  } else {
    job.largest_drop = std::max(job.largest_drop, job.last_report_loss - point.loss);
    job.best_loss = std::min(job.best_loss, job.loss);
  }
  if (!job.spec.group.empty()) improve_group(job);
  for (double at = 0; (at = rung_step(job.declared_steps(), job.rungs.size())) > 0 && static_cast<double>(point.step) >= at;) job.rungs.push_back(job.loss);
  job.last_report_loss = point.loss;
  job.staleness = r.staleness_mean;
  const double steps = static_cast<double>(r.step - job.step), examples = static_cast<double>(r.examples - std::min(r.examples, job.examples));
  if (const double busy = r.slot_seconds - job.slot_seconds_seen_; busy > 0) {
    // Forgets by slot time and not by report: the first reports are of one and a few batches.
    const double kept = std::exp(-busy / kRateMemorySeconds);
    job.rate_steps_ = kept * job.rate_steps_ + steps;
    job.rate_slot_seconds_ = kept * job.rate_slot_seconds_ + busy;
    job.steps_per_slot_second = job.rate_steps_ / job.rate_slot_seconds_;
  }
  if (const double passed = r.seconds - job.seconds_seen_; passed > 0) {
    job.steps_per_s = steps / passed;
    job.examples_per_s = examples / passed;
  }
  job.seconds_seen_ = r.seconds;
  job.slot_seconds_seen_ = r.slot_seconds;
  job.plateau = flat(job.curve, job.first_loss - job.best_loss);
  if (!std::exchange(job.diverging, false)) return job.reports == 2 ? News::kPhase : News::kLoss;
  job.reason.clear();
  return News::kPhase;
}

/// Predictors take reports for equally sure: one of few examples, as the first one after a move is, is heard together with the next. And they look back over
/// some fifty of them: those of a job that has long been heard are heard together too, so that these are a part of its life and not some seconds of noise.
void JobTable::tell_predictor(Job& job, const LossPoint& point, double staleness) {
  LossPoint& told = job.untold_;
  const std::uint64_t before = told.weight;
  const double share = static_cast<double>(point.weight) / static_cast<double>(before + point.weight), loss = told.loss;
  told = point;
  told.weight += before;
  if (before > 0) {
    told.loss = loss + share * (point.loss - loss);
    staleness = job.untold_staleness_ + share * (staleness - job.untold_staleness_);
  }
  job.untold_staleness_ = staleness;
  if (static_cast<double>(told.weight) * kTooFew < job.smooth.usual()) return;
  if ((told.step - job.told_step_) * kHeardMost < told.step - job.curve.points().front().step) return;
  if (job.predictor->ready() && staleness >= 0) {
    const double level = job.predictor->after(0).mean;
    const Forecast f = job.predictor->after(static_cast<double>(told.step - job.told_step_));
    if (level > f.mean) job.rates.progressed(level - f.mean, f.deviation, level - told.loss, job.usual_staleness_, staleness);
  }
  job.usual_staleness_ += (job.reports == 0 ? 1 : kStalenessWeight) * (std::max(0.0, staleness) - job.usual_staleness_);
  job.predictor->observe(told);
  ++job.told;
  job.told_step_ = told.step;
  told.weight = 0;
  if (!std::exchange(job.to_refit_, true)) to_refit_.push_back(&job);
}

void JobTable::learn_rates(Job& job, const proto::JobReport& r) {
  const double steps = static_cast<double>(r.step - job.step);
  const double busy = r.slot_seconds - job.slot_seconds_seen_, passed = r.seconds - job.seconds_seen_;
  // A repeat after the home was moved may bring totals that did not grow. And a window in which the count of slots changed, or the job had none for a while,
  // says nothing of any count: taken for its mean, rates look as if contention did not matter. How fast the machine is now it says all the same; with slots
  // that take turns there may be no other windows.
  const bool steady = std::abs(busy / passed - job.slots) <= kSteady * job.slots + kSteadySlots;
  const std::uint32_t most = std::max(job.slots, std::exchange(job.slots_seen_, job.slots));
  if (!(busy > 0) || !(passed > 0)) return;
  if (steady || !job.rates.ready())
    job.rates.observe(steps, busy, passed, r.staleness_mean);
  else
    job.rates.follow(steps, busy, std::max(static_cast<double>(most), busy / passed));
}

News JobTable::diverges(Job& job, std::string why) {
  if (job.reason != why) log::warn("job {}: {}; parked at its minimum share", job.spec.name, why);
  job.reason = std::move(why);
  return std::exchange(job.diverging, true) ? News::kNone : News::kPhase;
}

Job* JobTable::next_to_refit() {
  while (!to_refit_.empty()) {
    Job* job = to_refit_.front();
    to_refit_.pop_front();
    job->to_refit_ = false;
    if (!job->ended()) return job;
  }
  return nullptr;
}

void JobTable::remember(JobId id, const std::vector<LossPoint>& curve, Instant now) {
  Job* job = find(id);
  if (job == nullptr || job->reports != 0) return;
  for (const LossPoint& point : curve) {
    proto::JobReport report;
    report.step = point.step, report.examples = point.examples, report.seconds = point.seconds;
    report.window_steps = point.step - std::min(point.step, job->step), report.window_examples = point.weight;
    report.loss_sum = point.loss * static_cast<double>(point.weight);
    report.loss_squares = (point.spread * point.spread + point.loss * point.loss) * static_cast<double>(point.weight);
    if (!std::isfinite(report.loss_sum) || !std::isfinite(report.loss_squares)) return;
    (void)add_point(*job, report, now);
    job->step = point.step, job->examples = point.examples;
  }
  job->slot_seconds_seen_ = std::numeric_limits<double>::quiet_NaN();  // of its first life: the next report's total is no gain
  touch(*job);
  dirty_.insert(id);
}

bool JobTable::finish(JobId id, std::string reason, Instant now) {
  Job* job = find(id);
  if (job == nullptr || job->ended()) return false;
  // Under one name for what it is: jobs of a model fall alike, whatever they are called. How much of a loss was left is not known without the first one.
  if (!job->diverging && heard_whole(*job) && prior_.learn(job->spec.model, job->curve.points(), static_cast<double>(job->step))) prior_dirty_ = true;
  end(*job, JobState::kDone, std::move(reason), now);
  return true;
}

bool JobTable::fail(JobId id, Errc code, std::string words, Instant now) {
  Job* job = find(id);
  if (job == nullptr || job->ended()) return false;
  job->code = code;
  end(*job, JobState::kFailed, std::move(words), now);
  return true;
}

bool JobTable::cancel(JobId id, Instant now) {
  Job* job = find(id);
  if (job == nullptr || job->ended()) return false;
  end(*job, JobState::kCancelled, "as asked", now);
  return true;
}

bool JobTable::pause(JobId id) {
  Job* job = find(id);
  if (job == nullptr || job->ended() || job->paused()) return false;
  job->resumes_as = std::exchange(job->state, JobState::kPaused);
  touch(*job);
  dirty_.insert(id);
  return true;
}

bool JobTable::resume(JobId id) {
  Job* job = find(id);
  if (job == nullptr || !job->paused()) return false;
  job->state = job->resumes_as;
  touch(*job);
  dirty_.insert(id);
  return true;
}

bool JobTable::set(JobId id, const LiveValues& values) {
  Job* job = find(id);
  if (job == nullptr || job->ended() || job->live_values() == values) return false;
  job->spec.weight = values.weight;
  job->spec.slots_min = values.slots_min;
  job->spec.slots_max = values.slots_max;
  touch(*job);
  dirty_.insert(id);
  return true;
}

void JobTable::end(Job& job, JobState state, std::string reason, Instant now) {
  job.ended_seconds = (now - job.submitted).seconds();
  job.state = state;
  job.reason = std::move(reason);
  job.steps_per_s = job.examples_per_s = 0;
  job.predictor.reset();
  job.score_predictor.reset();
  live_.erase(job.id);
  if (!job.spec.group.empty()) std::erase(groups_[job.spec.group].members, &job), ended_in_group(job);
  ended_.push_back(job.id);
  touch(job);
  dirty_.insert(job.id);
}

std::vector<JobId> JobTable::beyond(std::size_t keep) const {
  std::vector<JobId> out;
  for (std::size_t i = 0; i + keep < ended_.size() && out.size() < kForgottenAtOnce; ++i) {
    const Job& job = *by_id_.at(ended_[i]);
    if (job.touched_ || job.row != Job::kNoRow) continue;
    const auto group = groups_.find(job.spec.group);
    if (group == groups_.end() || group->second.members.empty() || group->second.best_ended != &job) out.push_back(job.id);
  }
  return out;
}

void JobTable::forget(JobId id) {
  Job* job = find(id);
  SLUICE_ASSERT(job != nullptr && job->ended() && !job->touched_ && job->row == Job::kNoRow);
  if (job->to_refit_) std::erase(to_refit_, job);
  if (const auto group = groups_.find(job->spec.group); group != groups_.end()) {
    if (group->second.best_ended == job)
      group->second.best_ended = nullptr;  // nobody of it lives; what others that ended came to is in `best`, until a restart
    if (--group->second.known == 0) groups_.erase(group);
  }
  if (const auto name = names_.find(job->spec.name); name != names_.end() && name->second == id) names_.erase(name);
  dirty_.erase(id);
  std::erase(ended_, id);
  by_id_.erase(id);
  jobs_.erase(id);
}

void JobTable::started(JobId id) {
  Job* job = find(id);
  if (job == nullptr || job->state != JobState::kWaiting) return;
  job->state = JobState::kRunning;
}

double JobTable::group_best(const std::string& group) const {
  const auto known = groups_.find(group);
  return known == groups_.end() ? 0 : known->second.best;
}

Job* JobTable::find(JobId id) {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}
const Job* JobTable::find(JobId id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : it->second;
}
const Job* JobTable::find(std::string_view name) const {
  const auto it = names_.find(name);
  return it == names_.end() ? nullptr : find(it->second);
}

}  // namespace sluice::manager
