#include "base/loss_curve.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

/// Of two neighbours: it keeps the later step and time, as a point speaks for the window that ends at it.
LossPoint merged(const LossPoint& a, const LossPoint& b) {
  LossPoint out = b;
  const double wa = static_cast<double>(std::max<std::uint64_t>(a.weight, 1));
  const double wb = static_cast<double>(std::max<std::uint64_t>(b.weight, 1));
  out.loss = (a.loss * wa + b.loss * wb) / (wa + wb);
  out.spread = std::sqrt((a.spread * a.spread * wa + b.spread * b.spread * wb) / (wa + wb));
  out.weight += a.weight;
  return out;
}

}  // namespace

LossCurve::LossCurve(std::size_t points_max) : points_max_(std::max<std::size_t>(points_max, 16)) {}

bool LossCurve::add(const LossPoint& point) {
  if (!std::isfinite(point.loss) || !std::isfinite(point.spread)) return false;
  if (!points_.empty() && point.step <= points_.back().step) return false;
  if (points_.size() >= points_max_) thin();
  points_.push_back(point);
  return true;
}

void LossCurve::thin() {
  const std::size_t old = points_.size() - points_max_ / 4;
  const double first = static_cast<double>(std::max<std::uint64_t>(points_.front().step, 1)), last = static_cast<double>(points_[old - 1].step);
  const double bins = static_cast<double>(points_max_) / 4, even = bins / (last - first), by_log = bins / std::log(std::max(2.0, last / first));
  const auto place_of = [&](const LossPoint& p) {
    const double step = std::max(1.0, static_cast<double>(p.step));
    return even * (step - first) + by_log * std::log(step / first);
  };
  // Two neighbours that stay apart are more than two bins long together, so that no more stay than there are bins.
  std::size_t kept = 1;
  double begins = 0;  // the last one kept, so far
  for (std::size_t i = 1; i < old; ++i) {
    const LossPoint before = points_[kept - 1];
    if (kept > 1 && place_of(points_[i]) - begins <= 2) {
      points_[kept - 1] = merged(before, points_[i]);
    } else {
      begins = place_of(before);
      points_[kept++] = points_[i];
    }
  }
  points_.erase(points_.begin() + static_cast<std::ptrdiff_t>(kept), points_.begin() + static_cast<std::ptrdiff_t>(old));
}

}  // namespace sluice
