#include "manager/rate_model.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

constexpr double kLineMemorySeconds = 60;   ///< at work, with however many slots: the slope is a job's nature
constexpr double kLevelMemorySeconds = 1;   ///< of slot time: the level is also what else the machine does
constexpr double kPriorSlotSeconds = 0.25;  ///< what the prior's slope weighs: this much slot time with one more slot
constexpr double kReportMemory = 0.05;      ///< of the residuals' spread, a report
constexpr double kUsualSpread = 0.1, kOutlier = 3;
constexpr double kJump = 0.5;  ///< of the rate's logarithm: no report counts as further off than this, or three deviations
/// What a step of staleness costs before it is measured, and its standard deviation. Of the jobs of examples/sweep.yaml two slots (4.4 steps stale) needed, to
/// 90 % of the fall, the steps of one × 1.1 (sparse softmax, adagrad) to 3 (MLPs): .03 to .4 (docs/benchmarks.md).
constexpr double kPenaltyMean = 0.15, kPenaltyPrior = 0.02;
constexpr double kPenaltyMax = 1;
constexpr double kStalenessMax = 1e6;  ///< steps: more is nonsense
constexpr double kGainMemory = 0.005;  ///< a comparison
constexpr double kGainOutlier = 3;     ///< deviations
constexpr double kPoolMemory = 0.99;   ///< a job that ended
constexpr double kPoolEnough = 8;      ///< deviations of what is left of a slot in all of it
constexpr double kSameCount = 1e-9;    ///< of the mean square: less is rounding, and no variance
constexpr double kAlike = 0.1;         ///< of the slot-seconds a step: counts of slots at which they differ no more are alike
constexpr double kDrift = 0.03;        ///< between two times, of the rate's logarithm: what else a machine does
constexpr double kLogMost = 50;        ///< of a ratio of rates: more is nonsense

bool positive(double x) { return std::isfinite(x) && x > 0; }
bool stale(double x) { return x >= 0 && x <= kStalenessMax; }

/// The kappa with which slot-seconds a step are exp(`log_ratio`) ≥ 1 times as many at `b` slots beside the first as at `a` < b; 1 at most.
double kappa_of(double log_ratio, double a, double b) {
  const double ratio = std::exp(std::min(log_ratio, kLogMost)), rest = b - a * ratio;
  return rest > 0 ? std::min(1.0, (ratio - 1) / rest) : 1;
}

}  // namespace

double SpeedUp::rate(double slots) const {
  if (!(slots > 0)) return 0;
  return alone * slots / (1 + kappa * std::max(0.0, slots - 1));
}

double SpeedUp::efficiency(double slots) const { return 1 / (1 + penalty * staleness_per_slot * std::max(0.0, slots - 1)); }

RateModel::Line RateModel::line() const {
  const double m = kPriorSlotSeconds, k = prior_kappa_;
  // min Σ w (y − base − slope x)² + m (slope − k base)²
  const double a = weight_ + m * k * k, b = x_ - m * k, c = xx_ + m;
  const double det = a * c - b * b;
  Line fit;
  if (det > 1e-12 * a * c) fit = {(y_ * c - xy_ * b) / det, (xy_ * a - y_ * b) / det};
  if (fit.slope < 0 || !(fit.base > 0) || fit.slope > fit.base) {
    const double kappa = fit.base > 0 && fit.slope < 0 ? 0 : 1;  // y = base (1 + kappa x)
    const double base = (y_ + kappa * xy_) / (weight_ + 2 * kappa * x_ + kappa * kappa * xx_);
    fit = {base, kappa * base};
  }
  return fit;
}

void RateModel::observe(double steps, double slot_seconds, double seconds, double staleness) {
  if (!positive(steps) || !positive(slot_seconds) || !positive(seconds) || !stale(staleness)) {
    ++left_out_;
    return;
  }
  const double x = std::max(0.0, slot_seconds / seconds - 1), y = slot_seconds / steps;
  const double worked = slot_seconds / (1 + x);
  const double weight = std::min(worked, kLineMemorySeconds) * (1 + x);
  double seen = y;
  if (ready()) {
    const Line before = line();
    const double said = before.base + before.slope * x;
    // Until the slope is known, a report at another count of slots may be off by as much as kappa = 0 and 1 differ there.
    const double unknown = kappa_measured() ? 0 : std::abs(std::log((1 + x) / (1 + x_ / weight_)));
    const double off = std::log(y / said) - level_, limit = std::max(kOutlier * spread(), kJump) + unknown;
    const double counted = std::clamp(off, -limit, limit);
    seen = said * std::exp(level_ + counted);
    squares_ += kReportMemory * (counted * counted - squares_);
    squares_weight_ += kReportMemory * (1 - squares_weight_);
  }
  const double kept = std::exp(-worked / kLineMemorySeconds);
  for (double* sum : {&weight_, &x_, &xx_, &y_, &xy_, &seconds_, &sx_, &sxx_, &sy_, &sxy_, &reports_, &stale_xx_, &stale_xy_}) *sum *= kept;
  weight_ += weight;
  x_ += weight * x;
  xx_ += weight * x * x;
  y_ += weight * seen;
  xy_ += weight * x * seen;
  const double time = std::min(worked, kLineMemorySeconds);
  seconds_ += time, sx_ += time * x, sxx_ += time * x * x, sy_ += time * seen, sxy_ += time * x * seen, ++reports_;
  stale_xx_ += weight * x * x;
  stale_xy_ += weight * x * staleness;
  steps_ += steps;
  const Line now = line();
  const double off = std::log(seen / (now.base + now.slope * x));
  level_ += (1 - std::exp(-slot_seconds / (kLevelMemorySeconds * (1 + x)))) * (off - level_);
}

void RateModel::follow(double steps, double slot_seconds, double most) {
  if (!positive(steps) || !positive(slot_seconds) || !positive(most)) {
    ++left_out_;
    return;
  }
  if (!ready()) return;
  const Line fit = line();
  const double x = std::max(0.0, most - 1), between = 0.5 * fit.slope * x;
  if (2 * between > kAlike * fit.base) return;
  const double limit = std::max(kOutlier * spread(), kJump), off = std::log(slot_seconds / steps / (fit.base + between)) - level_;
  level_ += (1 - std::exp(-slot_seconds / (kLevelMemorySeconds * (1 + x)))) * std::clamp(off, -limit, limit);
}

void RateModel::progressed(double predicted, double deviation, double actual, double before, double now) {
  if (!positive(predicted) || !std::isfinite(actual) || !std::isfinite(deviation) || deviation < 0 || !stale(before) || !stale(now)) {
    ++left_out_;
    return;
  }
  // actual = predicted (1 + p before)/(1 + p now), so predicted − actual = p × predicted (now − before)/(1 + p now).
  const double penalty = speed_up().penalty, sigma = std::max(deviation, 1e-3 * predicted);
  const double z = predicted * (now - before) / (1 + penalty * now) / sigma;
  const double short_of = std::clamp((predicted - actual) / sigma, penalty * z - kGainOutlier, penalty * z + kGainOutlier);
  gain_xx_ += z * z - kGainMemory * gain_xx_;
  gain_xy_ += z * short_of - kGainMemory * gain_xy_;
}

SpeedUp RateModel::speed_up() const {
  constexpr double weight = 1 / (kPenaltyPrior * kPenaltyPrior);
  SpeedUp out;
  out.penalty = std::clamp((gain_xy_ + weight * kPenaltyMean) / (gain_xx_ + weight), 0.0, kPenaltyMax);
  // Before it was seen: n slots that take turns are n − 1 steps behind.
  out.staleness_per_slot = std::max(0.0, (stale_xy_ + kPriorSlotSeconds) / (stale_xx_ + kPriorSlotSeconds));
  if (!ready()) return out;
  const Line fit = line();
  out.alone = std::exp(-level_) / fit.base;
  out.kappa = std::clamp(fit.slope / fit.base, 0.0, 1.0);
  return out;
}

double RateModel::spread() const {
  const double prior = 1 - squares_weight_;
  return std::sqrt(squares_ + prior * kUsualSpread * kUsualSpread);
}

Evidence RateModel::evidence() const {
  if (!(seconds_ > 0)) return {};
  const double mean = sx_ / seconds_, variance = sxx_ / seconds_ - mean * mean;
  if (!(variance > kSameCount * sxx_ / seconds_)) return {};
  // As if half of the time had been with each of two counts: with one for most of the time this takes them for less far apart than they were.
  const double half = std::sqrt(variance), a = std::max(0.0, mean - half), b = mean + half;
  const double at_mean = sy_ / seconds_, slope = (sxy_ / seconds_ - mean * at_mean) / variance;
  const double at_a = at_mean + slope * (a - mean), at_b = at_mean + slope * (b - mean);
  const double ratio = at_a > 0 && at_b > 0 ? std::clamp(std::log(at_b / at_a), -kLogMost, kLogMost) : slope > 0 ? kLogMost : -kLogMost;
  const double noise = std::max(spread(), kUsualSpread / 10), deviation = std::sqrt(kDrift * kDrift + 4 * noise * noise / reports_);
  // What the ratio tells of kappa falls with it. By the kappa found itself, jobs that seem to have none by chance would count most.
  // Above 0 and below alike: else noise that goes up counts for less than noise that goes down, and many jobs that know nothing say 0.
  const double up = kappa_of(std::abs(ratio) + deviation, a, b), tells = (b - a) / ((1 + up * a) * (1 + up * b)) / deviation;
  return {tells * tells, std::copysign(kappa_of(std::abs(ratio), a, b), ratio)};
}

std::optional<double> RateModel::staleness_measured() const {
  if (!(stale_xx_ > kPriorSlotSeconds)) return std::nullopt;
  return stale_xy_ / stale_xx_;
}

void KappaPool::keep(const Evidence& evidence) {
  ended_.weight *= kPoolMemory, ended_.kappa *= kPoolMemory;
  take(ended_, evidence);
}

double KappaPool::kappa(double slots) const {
  const double weight = live_.weight + ended_.weight;
  if (!(weight > 0)) return -1;
  const double kappa = std::clamp((live_.kappa + ended_.kappa) / weight, 0.0, 1.0), left = 1 / (1 + kappa * slots);
  return kPoolEnough * slots * left * left <= std::sqrt(weight) ? kappa : -1;
}

bool RateModel::kappa_measured() const {
  if (!(weight_ > 0)) return false;
  const double about_mean = xx_ - x_ * x_ / weight_;
  return about_mean > kPriorSlotSeconds;
}

}  // namespace sluice::manager
