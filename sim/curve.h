#pragma once
/// The true loss of a made-up or recorded job by the number of steps it has done. Immutable values.

#include <vector>

namespace sluice::sim {

class Curve {
 public:
  /// losses[i] is the loss after i × steps_a_point steps; straight lines between, the last one held after. REQUIRES: at least one loss, all finite,
  /// steps_a_point > 0.
  explicit Curve(std::vector<double> losses, double steps_a_point = 1);
  [[nodiscard]] double at(double step) const;
  /// Mean over steps [from, to]; at(from) where they are equal. REQUIRES: 0 ≤ from ≤ to.
  [[nodiscard]] double mean(double from, double to) const;
  [[nodiscard]] double first() const { return losses_.front(); }
  [[nodiscard]] double best() const { return best_; }
  /// Steps of the last point.
  [[nodiscard]] double steps() const { return static_cast<double>(losses_.size() - 1) * steps_a_point_; }
  /// Steps until the loss is first ≤ first − fraction × (first − best); steps() if it never falls. REQUIRES: 0 ≤ fraction ≤ 1.
  [[nodiscard]] double steps_to_fraction(double fraction) const;
  /// (loss − best) / (first − best) in [0, 1]; 1 throughout for a curve that never falls.
  [[nodiscard]] double normalized(double step) const;

 private:
  [[nodiscard]] double area(double step) const;  ///< ∫ loss from 0 to step, in points
  std::vector<double> losses_;
  std::vector<double> area_;  ///< up to each point, in points
  double steps_a_point_;
  double best_;
};

}  // namespace sluice::sim
