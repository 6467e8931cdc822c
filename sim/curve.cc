#include "sim/curve.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace sluice::sim {
namespace {
std::vector<double> even_steps(std::size_t count, double steps_a_point) {
  SLUICE_ASSERT(steps_a_point > 0);
  std::vector<double> steps;
  for (std::size_t i = 0; i < count; ++i) steps.push_back(static_cast<double>(i) * steps_a_point);
  return steps;
}

std::vector<double> areas_of(const std::vector<double>& values, const std::vector<double>& steps) {
  std::vector<double> out = {0};
  for (std::size_t i = 1; i < values.size(); ++i) out.push_back(out.back() + (steps[i] - steps[i - 1]) * (values[i - 1] + values[i]) / 2);
  return out;
}
}  // namespace

Curve::Curve(std::vector<double> losses, double steps_a_point) : Curve(losses, even_steps(losses.size(), steps_a_point)) {}

Curve::Curve(std::vector<double> losses, std::vector<double> steps, bool best_kept) : losses_(std::move(losses)), steps_(std::move(steps)) {
  SLUICE_ASSERT(!losses_.empty() && losses_.size() == steps_.size() && steps_.front() == 0);
  best_ = *std::min_element(losses_.begin(), losses_.end());
  double counts = first();
  for (const double loss : losses_) {
    counts = best_kept ? std::min(counts, loss) : loss;
    normalized_.push_back(best_ < first() ? std::clamp((counts - best_) / (first() - best_), 0.0, 1.0) : 1);
  }
  area_ = areas_of(losses_, steps_);
  normalized_area_ = areas_of(normalized_, steps_);
}

std::size_t Curve::segment(double step) const {
  const auto after = std::upper_bound(steps_.begin(), steps_.end(), step);
  return after == steps_.begin() ? 0 : static_cast<std::size_t>(after - steps_.begin()) - 1;
}

double Curve::value(const std::vector<double>& values, double step) const {
  const std::size_t i = segment(step);
  if (i + 1 >= values.size()) return values.back();
  return values[i] + std::max(0.0, step - steps_[i]) / (steps_[i + 1] - steps_[i]) * (values[i + 1] - values[i]);
}

double Curve::at(double step) const { return value(losses_, step); }

double Curve::normalized(double step) const { return value(normalized_, step); }

double Curve::area(const std::vector<double>& values, const std::vector<double>& areas, double step) const {
  const std::size_t i = segment(step);
  const double more = std::max(0.0, step - steps_[i]);
  if (i + 1 >= values.size()) return areas.back() + more * values.back();
  const double end = values[i] + more / (steps_[i + 1] - steps_[i]) * (values[i + 1] - values[i]);
  return areas[i] + more * (values[i] + end) / 2;
}

double Curve::mean(double from, double to) const {
  const double steps = to - from;
  return steps > 1e-9 * (1 + from) ? (area(losses_, area_, to) - area(losses_, area_, from)) / steps : at(from);
}

double Curve::normalized_area(double step) const { return area(normalized_, normalized_area_, step); }

double Curve::steps_to_fraction(double fraction) const {
  if (!(best_ < first())) return steps();
  const double goal = first() - fraction * (first() - best_);
  for (std::size_t i = 0; i < losses_.size(); ++i) {
    if (losses_[i] > goal) continue;
    if (i == 0) return 0;
    return steps_[i - 1] + (losses_[i - 1] - goal) / (losses_[i - 1] - losses_[i]) * (steps_[i] - steps_[i - 1]);
  }
  return steps();
}

}  // namespace sluice::sim
