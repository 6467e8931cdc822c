#pragma once
/// Lines y = b + a φ(k) for each shape φ of a bank, fitted at three forgetting rates, for the predictor `ensemble`. One thread.

#include <array>
#include <cstddef>

#include "manager/predictors/shape_bank.h"

namespace sluice::manager {

/// Least squares in closed form from what is kept about the newest report: means of φ and y less their newest values, the discounted sum of (φ − its mean)²,
/// and that of (φ − its mean)(y − its mean), each moved on as reports come (Welford's updates: Chan, Golub, LeVeque, The American Statistician 37(3), 1983).
/// Everything is small where reports lie close together, so that floats do.
class ShapeFits {
 public:
  static constexpr std::array<double, 3> kKept = {0.75, 0.92, 0.98};                           ///< what a report weighs after one more
  static constexpr std::size_t kRates = kKept.size(), kShapes = 24, kFits = kRates * kShapes;  ///< of each rate one after the other
  static_assert(kShapes >= ShapeBank::kShapes && kShapes % 8 == 0);
  using Row = std::array<float, kShapes>;

  /// A report that stands for `mass` of them. `moved`: φ of it less φ of the one before, `rose`: the same of its loss. The first one's are not used.
  void add(const Row& moved, float rose, double mass);
  void clear() { *this = {}; }
  /// a, and the line at the newest report less that report; both × `scale`.
  void solve(float scale, float* amplitude, float* level) const;

 private:
  std::array<float, kRates> mass_{}, mean_loss_{};
  std::array<float, kFits> mean_{}, square_{}, product_{};
};

}  // namespace sluice::manager
