#include "sim/curve.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace sluice::sim {

Curve::Curve(std::vector<double> losses, double steps_a_point) : losses_(std::move(losses)), steps_a_point_(steps_a_point) {
  SLUICE_ASSERT(!losses_.empty() && steps_a_point > 0);
  best_ = *std::min_element(losses_.begin(), losses_.end());
  area_.push_back(0);
  for (std::size_t i = 1; i < losses_.size(); ++i) area_.push_back(area_.back() + (losses_[i - 1] + losses_[i]) / 2);
}

double Curve::at(double step) const {
  const double point = std::max(0.0, step / steps_a_point_);
  const auto i = static_cast<std::size_t>(std::min(point, static_cast<double>(losses_.size() - 1)));
  if (i + 1 >= losses_.size()) return losses_.back();
  return losses_[i] + (point - static_cast<double>(i)) * (losses_[i + 1] - losses_[i]);
}

double Curve::area(double step) const {
  const double point = std::max(0.0, step / steps_a_point_), last = static_cast<double>(losses_.size() - 1);
  if (point >= last) return area_.back() + (point - last) * losses_.back();
  const auto i = static_cast<std::size_t>(point);
  return area_[i] + (point - static_cast<double>(i)) * (losses_[i] + at(step)) / 2;
}

double Curve::mean(double from, double to) const {
  const double points = (to - from) / steps_a_point_;
  return points > 1e-9 ? (area(to) - area(from)) / points : at(from);
}

double Curve::steps_to_fraction(double fraction) const {
  if (!(best_ < first())) return steps();
  const double goal = first() - fraction * (first() - best_);
  for (std::size_t i = 0; i < losses_.size(); ++i) {
    if (losses_[i] > goal) continue;
    if (i == 0) return 0;
    return (static_cast<double>(i - 1) + (losses_[i - 1] - goal) / (losses_[i - 1] - losses_[i])) * steps_a_point_;
  }
  return steps();
}

double Curve::normalized(double step) const {
  if (!(best_ < first())) return 1;
  return std::clamp((at(step) - best_) / (first() - best_), 0.0, 1.0);
}

}  // namespace sluice::sim
