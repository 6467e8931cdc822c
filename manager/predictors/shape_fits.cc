#include "manager/predictors/shape_fits.h"

#include <cmath>

#include "manager/predictors/lanes.h"

namespace sluice::manager {
namespace {

constexpr float kLeastSquare = 1e-16F;  ///< a sum of squares below it is rounding: the shape does not move

}  // namespace

void ShapeFits::add(const Row& moved, float rose, double mass) {
  for (std::size_t r = 0; r < kRates; ++r) {
    const float kept = static_cast<float>(mass == 1 ? kKept[r] : std::pow(kKept[r], mass));
    const float before = kept * mass_[r], now = before + static_cast<float>(mass), share = before / now, pull = share * static_cast<float>(mass);
    const float off = before > 0 ? rose - mean_loss_[r] : 0;
    for (std::size_t s = r * kShapes; s < (r + 1) * kShapes; s += kFloats) {
      const Floats d = load_lanes(&moved[s - r * kShapes]) - load_lanes(&mean_[s]);
      store_lanes(-share * d, &mean_[s]);
      store_lanes(kept * load_lanes(&square_[s]) + pull * d * d, &square_[s]);
      store_lanes(kept * load_lanes(&product_[s]) + pull * off * d, &product_[s]);
    }
    mean_loss_[r] = -share * off;
    mass_[r] = now;
  }
}

void ShapeFits::solve(float scale, float* amplitude, float* level) const {
  for (std::size_t r = 0; r < kRates; ++r)
    for (std::size_t s = r * kShapes; s < (r + 1) * kShapes; s += kFloats) {
      const Floats square = load_lanes(&square_[s]), a = square > kLeastSquare ? load_lanes(&product_[s]) / square : Floats{};
      store_lanes(scale * a, amplitude + s);
      store_lanes(scale * (mean_loss_[r] - a * load_lanes(&mean_[s])), level + s);
    }
}

}  // namespace sluice::manager
