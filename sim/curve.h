#pragma once
/// The true loss of a made-up or recorded job by the number of steps it has done. Immutable values.

#include <cstddef>
#include <vector>

namespace sluice::sim {

class Curve {
 public:
  /// losses[i] is the loss after i × steps_a_point steps; straight lines between, the last one held after. REQUIRES: at least one loss, all finite,
  /// steps_a_point > 0.
  explicit Curve(std::vector<double> losses, double steps_a_point = 1);
  /// losses[i] is the loss after steps[i] steps. REQUIRES: as many steps as losses; the first step 0, each above the one before.
  /// best_kept: what counts at a step is the best loss up to there (of a job that diverges, say, whose best model is kept).
  Curve(std::vector<double> losses, std::vector<double> steps, bool best_kept = false);
  [[nodiscard]] double at(double step) const;
  /// Mean over steps [from, to]; at(from) where they are equal. REQUIRES: 0 ≤ from ≤ to.
  [[nodiscard]] double mean(double from, double to) const;
  [[nodiscard]] double first() const { return losses_.front(); }
  [[nodiscard]] double best() const { return best_; }
  /// Steps of the last point.
  [[nodiscard]] double steps() const { return steps_.back(); }
  /// Steps until the loss is first ≤ first − fraction × (first − best); steps() if it never falls. REQUIRES: 0 ≤ fraction ≤ 1.
  [[nodiscard]] double steps_to_fraction(double fraction) const;
  /// (loss − best) / (first − best), cut to [0, 1] at each point, straight lines between; 1 throughout for a curve that never falls.
  [[nodiscard]] double normalized(double step) const;
  /// ∫ normalized from 0 to step.
  [[nodiscard]] double normalized_area(double step) const;
  [[nodiscard]] const std::vector<double>& losses() const { return losses_; }
  [[nodiscard]] const std::vector<double>& points() const { return steps_; }  ///< the steps of the losses

 private:
  [[nodiscard]] std::size_t segment(double step) const;  ///< the last point at or before it
  [[nodiscard]] double value(const std::vector<double>& values, double step) const;
  /// ∫ from 0 to step of the lines through `values`, whose ∫ up to each point is `areas`.
  [[nodiscard]] double area(const std::vector<double>& values, const std::vector<double>& areas, double step) const;
  std::vector<double> losses_, steps_;
  double best_;
  std::vector<double> normalized_;
  std::vector<double> area_, normalized_area_;  ///< up to each point
};

}  // namespace sluice::sim
