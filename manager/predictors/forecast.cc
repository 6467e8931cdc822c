#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "manager/predictor.h"

namespace sluice::manager {
namespace {

/// Quantiles of Student's t of four degrees at .75, .90 and .95: half the widths of the 50, 80 and 90 % bands.
constexpr double kHalf = 0.740697, kMost = 1.533206, kNearlyAll = 2.131847;
constexpr double kTailLeast = 0.2, kTailMost = 5;

}  // namespace

// Student's t of four degrees of freedom has both in closed form (W. T. Shaw, "Sampling Student's t distribution", Journal of Computational Finance 9(4),
// 2006).
static_assert(kForecastFreedom == 4);

Forecast Forecast::of(double mean, const std::array<double, 3>& log_widths) {
  static const double kInner = std::log(kMost / kHalf), kOuter = std::log(kNearlyAll / kMost);
  const auto tail = [](double x) { return static_cast<float>(std::clamp(x, kTailLeast, kTailMost)); };
  return {mean, std::min(std::exp(log_widths[1]) / kMost, 1e16), tail((log_widths[1] - log_widths[0]) / kInner),
          tail((log_widths[2] - log_widths[1]) / kOuter)};
}

double Forecast::quantile(double share) const {
  SLUICE_ASSERT(share > 0 && share < 1);
  const double a = 4 * share * (1 - share), root = std::sqrt(a);
  double t = 2 * std::sqrt(std::max(0.0, std::cos(std::acos(std::min(1.0, root)) / 3) / root - 1));
  const float tail = t < kMost ? inner_tail : outer_tail;
  if (tail != 1) t = kMost * std::pow(t / kMost, tail);
  return mean + deviation * std::copysign(t, share - 0.5);
}

double Forecast::probability_below(double loss) const {
  if (!(deviation > 0)) return loss >= mean ? 1 : 0;
  double t = std::clamp((loss - mean) / deviation, -1e6, 1e6);
  const float tail = std::abs(t) < kMost ? inner_tail : outer_tail;
  if (tail != 1) t = std::copysign(std::min(kMost * std::pow(std::abs(t) / kMost, 1 / tail), 1e6), t);
  const double scaled = 1 + t * t / 4;
  return std::clamp(0.5 + 0.375 * t / std::sqrt(scaled) * (1 - t * t / scaled / 12), 0.0, 1.0);
}

}  // namespace sluice::manager
