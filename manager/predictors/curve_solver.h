#pragma once
/// Weighted non-linear least squares for SLAQ's two families, on kPoints points. One thread.

#include <gsl/gsl_multifit_nlinear.h>

#include <array>
#include <span>

namespace sluice::manager {

enum class Family { kSublinear, kExponential };

/// kSublinear: y = 1/(p0 x² + p1 x + p2) + p3. kExponential: y = p0 e^(−p1 x) + p3, which is a^(x−b) + c with a = e^−p1, b = ln(p0)/p1, c = p3; p2 is unused.
/// All ≥ 0.
using Params = std::array<double, 4>;

[[nodiscard]] double value_at(Family family, const Params& p, double x);

struct Solution {
  Params params{};
  double cost = 0;  ///< weighted sum of squared residuals
  int iterations = 0;
  bool good = false;  ///< finite everywhere
};

class CurveSolver {
 public:
  /// The weights 0.8^−2i leave the older ones of the window below 2·10⁻⁸ of the newest: they are not solved for.
  static constexpr std::size_t kPoints = 40;
  CurveSolver();
  ~CurveSolver();
  CurveSolver(const CurveSolver&) = delete;
  CurveSolver& operator=(const CurveSolver&) = delete;
  /// x, y: kPoints values, the oldest first. Bounded by iterations_max.
  [[nodiscard]] Solution solve(Family family, std::span<const double> x, std::span<const double> y, const Params& start, int iterations_max);

 private:
  std::array<double, kPoints> weights_{};
  gsl_multifit_nlinear_workspace* sublinear_ = nullptr;    ///< 4 parameters
  gsl_multifit_nlinear_workspace* exponential_ = nullptr;  ///< 3 parameters
};

}  // namespace sluice::manager
