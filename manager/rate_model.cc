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
constexpr double kPoolEnough = 8;      ///< deviations of kappa times the slots in one: an eighth of a slot

bool positive(double x) { return std::isfinite(x) && x > 0; }
bool stale(double x) { return x >= 0 && x <= kStalenessMax; }

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
  for (double* sum : {&weight_, &x_, &xx_, &y_, &xy_, &stale_xx_, &stale_xy_}) *sum *= kept;
  weight_ += weight;
  x_ += weight * x;
  xx_ += weight * x * x;
  y_ += weight * seen;
  xy_ += weight * x * seen;
  stale_xx_ += weight * x * x;
  stale_xy_ += weight * x * staleness;
  steps_ += steps;
  const Line now = line();
  const double off = std::log(seen / (now.base + now.slope * x));
  level_ += (1 - std::exp(-slot_seconds / (kLevelMemorySeconds * (1 + x)))) * (off - level_);
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
  if (!(weight_ > 0)) return {};
  const double about_mean = xx_ - x_ * x_ / weight_;
  if (!(about_mean > kPriorSlotSeconds)) return {};
  const double slope = (xy_ - x_ * y_ / weight_) / about_mean, base = (y_ - slope * x_) / weight_;
  const double noise = std::max(spread(), kUsualSpread / 10);
  return {about_mean / (noise * noise), base > 0 ? std::clamp(slope / base, 0.0, 1.0) : slope > 0 ? 1 : 0};
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
  return weight > 0 && std::sqrt(weight) >= kPoolEnough * slots ? (live_.kappa + ended_.kappa) / weight : -1;
}

bool RateModel::kappa_measured() const {
  if (!(weight_ > 0)) return false;
  const double about_mean = xx_ - x_ * x_ / weight_;
  return about_mean > kPriorSlotSeconds;
}

}  // namespace sluice::manager
