#include "manager/view_keeper.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "base/fetch.h"
#include "manager/detail/few_digits.h"
#include "manager/detail/in_parts.h"
#include "manager/policies/claims.h"
#include "manager/quality.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kKnotsMax = 16;
constexpr double kMoveCostWeight = 0.3;
constexpr double kMoveOutlier = 4;
constexpr std::size_t kAheadJobs = 2;  ///< jobs whose memory is fetched while others are worked on: of very many, a job is in no cache
constexpr std::size_t kAheadSet = 8;   ///< the same where little is looked at
/// Jobs that are worth another thread's while: with their forecasts, and without. Where others work on its core too it may keep a round waiting for
/// milliseconds.
constexpr std::size_t kForecastsApart = 64, kViewsApart = 2048;

/// `of(i, end)` for 0 … count − 1, on several threads where there are many; a thread's part goes on to `end`.
template <class Of>
void each_of(std::size_t count, std::size_t apart, const Of& of) {
  in_parts(count, apart, [&](std::size_t first, std::size_t end) {
    for (std::size_t i = first; i < end; ++i) of(i, end);
  });
}

/// What fill() reads of it: the rest of a job is as much again.
void fetch_job(const Job& job) {
  const auto fetch = [](const void* from, const void* end) {
    fetch_lines(from, static_cast<std::size_t>(static_cast<const char*>(end) - static_cast<const char*>(from)));
  };
  __builtin_prefetch(&job);
  fetch(&job.spec.consistency, &job.spec + 1);
  fetch(&job.step, &job + 1);
}

/// A loss that falls goes on falling: at least as 1/step does. A fit through noisy reports takes a curve for flat now and then, and a policy that believes it
/// does not hear that job again for long (docs/adr/0009).
void forecast_into(std::vector<ForecastKnot>& knots, const Job& job, double steps_per_slot, std::uint32_t slots) {
  if (!(steps_per_slot > 0)) return;
  std::array<double, kKnotsMax> steps;
  std::array<Forecast, kKnotsMax> said;
  std::size_t count = 0;
  for (double n = 0.5; count < kKnotsMax && (count == 0 || n < 2.0 * slots); n *= 2) steps[count++] = n * steps_per_slot;
  std::array<double, kKnotsMax> from_heard;
  std::transform(steps.begin(), steps.begin() + count, from_heard.begin(), [before = job.unheard_steps()](double k) { return before + k; });
  job.predictor->after_all(std::span(from_heard).first(count), std::span(said).first(count));
  const ExpectedFall fall(job.curve.points());
  const double level = job.after(0).mean;
  double drop = 0;
  for (std::size_t i = 0; i < count; ++i) {
    drop = std::max({drop, level - said[i].mean, fall.after(steps[i])});
    knots.push_back({steps[i], few_digits(drop), few_digits(said[i].deviation)});
  }
}

SpeedUp counted_speed_up(const Job& job) {
  SpeedUp out = job.rates.speed_up();
  if (job.spec.consistency.mode == proto::ConsistencyMode::kBsp) out.staleness_per_slot = 0;
  return out;
}

/// Its part of the view says nothing of what it would bring before it trains, nor while it is paused.
void foretell(JobView& v, const Job& job, const RoundOptions& options, std::uint32_t slots) {
  v.forecast.clear();
  const bool learns = v.phase == JobPhase::kTraining || v.phase == JobPhase::kPlateau;
  if (!learns || job.paused() || job.predictor == nullptr || !job.predictor->ready()) return;
  forecast_into(v.forecast, job, job.steps_per_slot_second * quantum_of(options.round, options.quantum_min, v.move_cost).seconds(), slots);
}

/// All but the forecast. Over what was there: what is carried stays, and memory is kept.
void fill_view(JobView& v, const Job& job, Duration move_cost) {
  v.weight = job.spec.weight;
  v.slots_min = job.paused() ? 0 : job.spec.slots_min;
  v.slots_max = job.paused() ? 0 : job.spec.slots_max;
  v.phase = job.phase();
  v.reports = job.told;
  v.loss = job.loss;
  v.first_loss = job.first_loss;
  v.floor = job.floor();
  v.normalized_loss = job.reports == 0 ? 1 : job.first_loss > v.floor ? std::clamp((job.loss - v.floor) / (job.first_loss - v.floor), 0.0, 1.0) : 1;
  v.largest_drop = job.largest_drop;
  v.steps_per_slot_second = job.steps_per_slot_second;
  v.speed_up = counted_speed_up(job);
  v.step = job.step;
  v.total_steps = job.declared_steps();
  v.declared = v.total_steps > 0;
  v.attained = job.slot_seconds;
  if (v.rungs.size() != job.rungs.size()) v.rungs = job.rungs;
  v.end_loss = v.floor;
  v.end_deviation = 0;
  const bool ready = job.predictor != nullptr && job.predictor->ready();
  v.level = ready ? few_digits(std::min(job.first_loss, job.after(0).mean)) : job.loss;
  if (v.declared && ready) {
    const Forecast end = job.after(std::max(0.0, v.total_steps - static_cast<double>(v.step)));
    v.end_loss = std::min(job.best_loss, end.mean);
    v.end_deviation = end.deviation;
  }
  v.move_cost = move_cost;
  // Near the end there are only so many batches left to go round. Under bsp a slot that leaves changes the result: it stays.
  v.usable = std::numeric_limits<std::uint32_t>::max();
  if (job.examples_total > job.examples && job.spec.consistency.mode != proto::ConsistencyMode::kBsp) {
    const std::uint64_t batches = (job.examples_total - job.examples + job.spec.step_rows() - 1) / job.spec.step_rows();
    v.usable = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(batches, 1, v.usable));
  }
}

/// What never changes of it.
JobView new_view(const Job& job) {
  JobView v;
  v.id = job.id;
  v.name = job.spec.name;
  v.group = job.spec.group;
  v.best = job.spec.objective == proto::Objective::kBest;
  v.submitted = v.waits_since = job.submitted;
  v.slots = job.slots;
  return v;
}

}  // namespace

JobView view_of(const Job& job, const RoundOptions& options, std::uint32_t slots, Duration move_cost) {
  JobView v = new_view(job);
  fill_view(v, job, move_cost);
  foretell(v, job, options, slots);
  return v;
}

/// What past jobs of its model say of one that is as far.
void ViewKeeper::take_prior(JobView& v, const Job& job) const {
  const RemainingPrior& prior = jobs_.prior();
  const auto step = static_cast<double>(job.step);
  if (!v.declared) v.total_steps = job.step > 0 ? job.expected_steps(prior) : 0;
  if (!(v.total_steps > 0)) return;
  const auto left = prior.remaining(job.spec.model, step / v.total_steps);
  v.prior_remaining = left.mean, v.prior_deviation = left.deviation;
  v.prior_slope = prior.steepest(job.spec.model, step / v.total_steps) / v.total_steps;
}

void ViewKeeper::mark(std::uint32_t row) {
  if (marked_[row]) return;
  marked_[row] = true;
  changed_.push_back(row);
}

void ViewKeeper::make(std::uint32_t row) {
  fill(row);
  finish(row);
}

/// What is of the job alone. Nearly all of it would be forecasts, which an Incremental reads of few.
void ViewKeeper::fill(std::uint32_t row) {
  Job& job = *rows_[row];
  if (view_.usual_kappa >= 0) job.rates.expect(view_.usual_kappa);
  JobView& v = view_.jobs[row];
  fill_view(v, job, move_cost(job));
  owes_[row] = later_ && v.end_deviation > 0 ? 1 : 0;
  if (owes_[row] == 0) foretell(v, job, options_, slots_);
}

void ViewKeeper::foretell_all() {
  std::vector<std::size_t> owing;
  for (std::size_t row = 0; row < owes_.size(); ++row)
    if (std::exchange(owes_[row], 0) != 0) owing.push_back(row);
  each_of(owing.size(), kForecastsApart, [&](std::size_t i, std::size_t) { foretell(view_.jobs[owing[i]], *rows_[owing[i]], options_, slots_); });
}

void ViewKeeper::finish(std::uint32_t row) {
  const Job& job = *rows_[row];
  JobView& v = view_.jobs[row];
  take_prior(v, job);
  if (!v.group.empty()) v.group_best = jobs_.group_best(v.group);
  shadow_.see(v.id, v.submitted, v.declared ? v.total_steps : 0, v.speed_up, job.paused());
  mark(row);
  ++made_;
}

void ViewKeeper::make_all(std::span<Job* const> touched) {
  each_of(touched.size(), later_ ? kViewsApart : kForecastsApart, [&](std::size_t i, std::size_t end) {
    if (i + kAheadJobs < end) {
      const Job& ahead = *touched[i + kAheadJobs];
      fetch_job(ahead);
      if (ahead.row != Job::kNoRow) fetch_lines(&view_.jobs[ahead.row], sizeof(JobView));
    }
    if (!touched[i]->ended()) fill(touched[i]->row);
  });
  for (const Job* job : touched)
    if (!job->ended()) finish(job->row);
}

/// Nothing happened to it; but what others went through may tell something of it.
void ViewKeeper::tell(std::uint32_t row) {
  Job& job = *rows_[row];
  JobView& v = view_.jobs[row];
  if (move_cost(job) != v.move_cost) return make(row);
  if (view_.usual_kappa >= 0) job.rates.expect(view_.usual_kappa);
  const auto values = [&] { return std::tuple(v.speed_up.alone, v.speed_up.kappa, v.total_steps, v.prior_remaining, v.prior_deviation, v.prior_slope); };
  const auto before = values();
  v.speed_up = counted_speed_up(job);
  take_prior(v, job);
  if (values() == before) return;
  shadow_.see(v.id, v.submitted, v.declared ? v.total_steps : 0, v.speed_up, job.paused());
  mark(row);
}

void ViewKeeper::look_at_hosts() {
  if (looked_ && hosts_seen_ == fleet_.version()) return;
  hosts_seen_ = fleet_.version();
  view_.hosts.clear();
  for (const auto& [id, worker] : fleet_.workers()) {
    HostView& host = view_.hosts.emplace_back();
    host.id = id;
    host.name = worker.name;
    host.slots = static_cast<std::uint32_t>(worker.slots.size());
    host.capacity.cores = static_cast<double>(host.slots);
  }
  if (slots_ == fleet_.slots()) return;
  slots_ = fleet_.slots();
  for (Job* job : rows_) jobs_.touch(*job);  // forecasts reach as far as all slots
}

void ViewKeeper::leave(std::span<Job* const> touched, const Incremental* carrier) {
  moved_places_ = false;
  left_.clear();
  for (Job* job : touched) {
    if (!job->ended() || job->row == Job::kNoRow) continue;
    shadow_.ended(job->id, static_cast<double>(job->step), job->slot_seconds);
    contention_.keep(job->rates.evidence());
    held_ -= view_.jobs[job->row].slots;
    left_.push_back(job);
    moved_places_ = true;
  }
  if (!moved_places_) return;
  if (carrier != nullptr) carrier->put(view_);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    Job& job = *rows_[i];
    if (job.ended()) {
      job.row = Job::kNoRow;
      continue;
    }
    if (kept != i) {
      view_.jobs[kept] = std::move(view_.jobs[i]);
      rows_[kept] = &job, evidence_[kept] = evidence_[i], owes_[kept] = owes_[i];
      job.row = static_cast<std::uint32_t>(kept);
    }
    ++kept;
  }
  view_.jobs.resize(kept), rows_.resize(kept), evidence_.resize(kept), marked_.resize(kept), owes_.resize(kept);
}

void ViewKeeper::join(std::span<Job* const> touched) {
  for (Job* job : touched) {
    if (job->ended() || job->row != Job::kNoRow) continue;
    SLUICE_ASSERT(rows_.empty() || rows_.back()->id < job->id);
    job->row = static_cast<std::uint32_t>(rows_.size());
    rows_.push_back(job);
    view_.jobs.push_back(new_view(*job));
    held_ += view_.jobs.back().slots;
    evidence_.push_back({});
    marked_.push_back(false);
    owes_.push_back(0);
  }
}

void ViewKeeper::pool_contention(std::span<Job* const> touched) {
  for (std::size_t i = 0; i < touched.size(); ++i) {
    if (i + kAheadSet < touched.size()) fetch_lines(&touched[i + kAheadSet]->rates, sizeof(RateModel));
    if (const Job& job = *touched[i]; !job.ended()) evidence_[job.row] = job.rates.evidence();
  }
  contention_.begin();
  for (const Evidence& evidence : evidence_) contention_.add(evidence);
  view_.usual_kappa = contention_.kappa(slots_);
}

void ViewKeeper::look(Instant now, bool by_index, const Incremental* carrier) {
  for (std::size_t i = 0; i < set_.size(); ++i) {
    if (i + 2 * kAheadSet < set_.size()) __builtin_prefetch(set_[i + 2 * kAheadSet]);
    if (i + kAheadSet < set_.size() && set_[i + kAheadSet]->row != Job::kNoRow) __builtin_prefetch(&view_.jobs[set_[i + kAheadSet]->row].slots);
    const Job* const job = set_[i];
    if (job->row == Job::kNoRow) continue;
    JobView& v = view_.jobs[job->row];
    if (v.slots > 0 && job->slots == 0) v.waits_since = view_.now;
    held_ += job->slots - v.slots;
    v.slots = job->slots;
  }
  set_.clear();
  const std::uint32_t held = held_;
  view_.elapsed = looked_ ? now - view_.now : Duration{};
  view_.now = now;
  view_.round = options_.round;
  view_.quantum_min = options_.quantum_min;
  view_.fairness = options_.fairness;
  view_.by_index = by_index;
  for (const std::uint32_t row : changed_)
    if (row < marked_.size()) marked_[row] = false;
  changed_.clear();
  made_ = 0;
  later_ = carrier != nullptr;
  look_at_hosts();
  const std::vector<Job*> touched = jobs_.take_touched();
  leave(touched, carrier);
  join(touched);
  pool_contention(touched);
  make_all(touched);
  for (std::size_t i = 0; i < std::min(kToldMax, rows_.size()); ++i) {
    told_ = told_ + 1 < rows_.size() ? told_ + 1 : 0;
    if (!marked_[told_]) tell(static_cast<std::uint32_t>(told_));
  }
  shadow_.advance(now, slots_, held);
  view_.usual_stay = shadow_.usual_stay();
  view_.usual_attained = shadow_.usual_attained();
  for (std::size_t i = 0; options_.fairness.strict && i < rows_.size(); ++i) {
    view_.jobs[i].behind = shadow_.behind(rows_[i]->id, static_cast<double>(rows_[i]->step));
    mark(static_cast<std::uint32_t>(i));
  }
  looked_ = true;
}

void ViewKeeper::set_slots(Job& job, std::uint32_t slots) {
  job.slots = slots;
  set_.push_back(&job);
}

void ViewKeeper::moved(Job& job, Duration stall) {
  // One stall that the operating system made long must not make the quantum, which is 20 × this, long as well.
  const auto mean = [&](double before) {
    const double now = static_cast<double>(stall.ns);
    return before > 0 ? before + kMoveCostWeight * (std::min(now, kMoveOutlier * before) - before) : now;
  };
  usual_move_ns_ = mean(usual_move_ns_);
  job.move_cost = Duration{std::llround(mean(static_cast<double>(job.move_cost.ns)))};
  ++job.moves_measured;
  if (!job.ended()) jobs_.touch(job);
}

/// A job's only measurement may be an outlier, and a job that seems dear to move is not moved, and so not measured again: until the second it is bounded by
/// what moves to other jobs cost.
Duration ViewKeeper::move_cost(const Job& job) const {
  if (job.moves_measured > 1 || !(usual_move_ns_ > 0)) return job.move_cost;
  return std::min(job.move_cost, Duration{std::llround(kMoveOutlier * usual_move_ns_)});
}

}  // namespace sluice::manager
