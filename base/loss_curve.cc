#include "base/loss_curve.h"

#include <algorithm>
#include <cmath>

namespace sluice {

LossCurve::LossCurve(std::size_t points_max) : points_max_(std::max<std::size_t>(points_max, 16)) {}

bool LossCurve::add(const LossPoint& point) {
  if (!std::isfinite(point.loss) || !std::isfinite(point.spread)) return false;
  if (!points_.empty() && point.step <= points_.back().step) return false;
  if (points_.size() >= points_max_) thin();
  points_.push_back(point);
  return true;
}

void LossCurve::thin() {
  const std::size_t half = points_.size() / 2 / 2 * 2;  // merge an even number of the oldest
  std::vector<LossPoint> kept;
  kept.reserve(points_.size());
  for (std::size_t i = 0; i + 1 < half; i += 2) {
    const LossPoint& a = points_[i];
    LossPoint merged = points_[i + 1];  // keeps the later step and time: a point speaks for the window that ends at it
    const double wa = static_cast<double>(std::max<std::uint64_t>(a.weight, 1));
    const double wb = static_cast<double>(std::max<std::uint64_t>(merged.weight, 1));
    merged.loss = (a.loss * wa + merged.loss * wb) / (wa + wb);
    merged.spread = std::sqrt((a.spread * a.spread * wa + merged.spread * merged.spread * wb) / (wa + wb));
    merged.weight += a.weight;
    kept.push_back(merged);
  }
  kept.insert(kept.end(), points_.begin() + static_cast<std::ptrdiff_t>(half), points_.end());
  points_ = std::move(kept);
}

}  // namespace sluice
