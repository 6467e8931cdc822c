#include "sim/track.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/convergence.h"

namespace sluice::sim {
namespace {

constexpr std::uint32_t kBatch = 128;                     ///< examples a step: only their proportion counts
constexpr std::array<double, 4> kEarly = {1, 4, 16, 64};  ///< steps after which a job home reports at once
constexpr std::array<double, 5> kMarks = {0.5, 0.75, 0.9, 0.95, 0.99};
constexpr double kNear = 1e-9;  ///< of the steps: rounding of times to nanoseconds

double normal(Rng& rng) { return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * std::numbers::pi * rng.uniform()); }

}  // namespace

Track::Track(const SimJob& job, const SimOptions& options, Instant start) : job_(job), options_(options), arrived_(start + job.arrives), at_(arrived_) {
  for (std::size_t i = 0; i < kMarks.size(); ++i) marks_[i] = std::min(job.curve.steps_to_fraction(kMarks[i]), job.steps);
  result_.name = job.name;
  result_.family = job.family;
  result_.group = job.group;
  result_.arrives = job.arrives.seconds();
  result_.alone = job.steps * job.slot_seconds_per_step / options.speedup.at(options.slots);
}

double Track::rate() const { return options_.speedup.at(slots_) / job_.slot_seconds_per_step; }

double Track::staleness() const { return slots_ > 1 ? job_.staleness * (slots_ - 1) : 0; }

double Track::fresh() const { return 1 / (1 + job_.penalty * staleness()); }

void Track::set_slots(std::uint32_t slots) {
  if (slots > slots_) {
    stall_ += (slots - slots_) * options_.move_cost.seconds();
    result_.moves += slots - slots_;
  }
  if (slots == 0) stall_ = 0;
  slots_ = slots;
}

void Track::pass_marks(double from, double began, double rate) {
  const std::array<std::optional<double>*, 5> times = {&result_.to_50, &result_.to_75, &result_.to_90, &result_.to_95, &result_.to_99};
  for (std::size_t i = 0; i < marks_.size(); ++i)
    if (!*times[i] && place_ >= marks_[i] * (1 - kNear)) *times[i] = began + (rate > 0 ? std::max(0.0, marks_[i] - from) / rate : 0);
}

void Track::advance(Instant to) {
  const double seconds = (to - at_).seconds();
  if (ended_ || !(seconds > 0)) return;
  const double since = (at_ - arrived_).seconds();
  at_ = to;
  const double from = step_, rate = this->rate(), placed = place_, fresh = this->fresh();
  if (!(rate > 0)) {
    result_.loss_seconds += seconds * normalized_loss();
    return pass_marks(placed, since, 0);
  }
  const double waits = std::min(seconds, stall_ / slots_);
  stall_ -= waits * slots_;
  step_ = std::min(job_.steps, from + rate * (seconds - waits));
  const bool ends = step_ >= job_.steps * (1 - kNear);
  if (ends) step_ = job_.steps;
  const double worked = (step_ - from) / rate;
  place_ = fresh < 1 ? placed + (step_ - from) * fresh : placed == from ? step_ : placed + (step_ - from);
  stale_ += (step_ - from) * staleness();
  if (from == 0 && step_ > 0) first_commit_ = Instant{to.ns - from_seconds(seconds - waits).ns};
  slot_seconds_ += worked * slots_;
  result_.slot_seconds = slot_seconds_;
  result_.loss_seconds += waits * job_.curve.normalized(placed) + (job_.curve.normalized_area(place_) - job_.curve.normalized_area(placed)) / (rate * fresh);
  pass_marks(placed, since + waits, rate * fresh);
  result_.left = normalized_loss();
  if (ends) end(since + waits + worked, "steps done");
}

void Track::end(double seconds, std::string words) {
  ended_ = true;
  ended_words_ = std::move(words);
  result_.completed = seconds;
}

Instant Track::next() const {
  const double rate = this->rate();
  if (ended_ || !(rate > 0)) return Instant::never();
  const double goal = early_ < kEarly.size() ? std::min(job_.steps, kEarly[early_]) : job_.steps;
  const double seconds = stall_ / slots_ + std::max(0.0, goal - step_) / rate;
  if (seconds > 1e9) return Instant::never();
  return at_ + Duration{static_cast<std::int64_t>(std::ceil(seconds * 1e9)) + 1};
}

bool Track::early_report_due() const { return !ended_ && early_ < kEarly.size() && step_ >= kEarly[early_]; }

std::optional<proto::JobReport> Track::report(Rng& rng) {
  while (early_ < kEarly.size() && step_ >= kEarly[early_]) ++early_;
  const double whole = std::floor(step_ * (1 + kNear));
  if (whole <= reported_) return std::nullopt;
  const double steps = whole - reported_, range = job_.curve.first() - job_.curve.best();
  const double placed = std::max(place_reported_, place_ - (step_ - whole) * fresh());
  double loss = job_.curve.mean(place_reported_, placed);
  if (options_.step_noise > 0) loss *= 1 + options_.step_noise / std::sqrt(steps) * normal(rng);
  if (options_.noise > 0) loss += options_.noise * range * normal(rng);
  proto::JobReport report;
  report.job = id_;
  report.generation = 1;
  report.step = static_cast<std::uint64_t>(whole);
  report.examples = report.step * kBatch;
  report.examples_total = job_.declared ? static_cast<std::uint64_t>(std::ceil(job_.steps)) * kBatch : 0;
  report.seconds = first_commit_ ? (at_ - *first_commit_).seconds() : 0;
  report.window_steps = static_cast<std::uint64_t>(steps);
  report.window_examples = report.window_steps * kBatch;
  report.loss_sum = loss * static_cast<double>(report.window_examples);
  report.loss_squares = loss * report.loss_sum;
  report.slot_seconds = slot_seconds_ * (whole < step_ ? whole / step_ : 1);
  report.staleness_mean = stale_ / (step_ - stale_from_);
  reported_ = whole, place_reported_ = placed;
  stale_ = 0, stale_from_ = step_;
  if (!job_.declared && job_.converges && !ended_) judge(report);
  return report;
}

void Track::judge(const proto::JobReport& report) {
  const double examples = static_cast<double>(report.window_examples);
  heard_.add({report.step, report.examples, report.seconds, report.loss_sum / examples, 0, report.window_examples});
  if (std::string words = converged_words(heard_.points()); !words.empty()) end((at_ - arrived_).seconds(), std::move(words));
}

double Track::take_area() {
  const double area = result_.loss_seconds - area_seen_;
  area_seen_ = result_.loss_seconds;
  return area;
}

}  // namespace sluice::sim
