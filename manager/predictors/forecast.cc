#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "manager/predictor.h"

namespace sluice::manager {

// Student's t of four degrees of freedom has both in closed form (W. T. Shaw, "Sampling Student's t distribution", Journal of Computational Finance 9(4),
// 2006).
static_assert(kForecastFreedom == 4);

double Forecast::quantile(double share) const {
  SLUICE_ASSERT(share > 0 && share < 1);
  const double a = 4 * share * (1 - share), root = std::sqrt(a);
  const double t = 2 * std::sqrt(std::max(0.0, std::cos(std::acos(std::min(1.0, root)) / 3) / root - 1));
  return mean + deviation * std::copysign(t, share - 0.5);
}

double Forecast::probability_below(double loss) const {
  if (!(deviation > 0)) return loss >= mean ? 1 : 0;
  const double t = std::clamp((loss - mean) / deviation, -1e6, 1e6), scaled = 1 + t * t / 4;
  return std::clamp(0.5 + 0.375 * t / std::sqrt(scaled) * (1 - t * t / scaled / 12), 0.0, 1.0);
}

}  // namespace sluice::manager
