#pragma once
/// Curves whose one non-linear parameter is fitted as well: how fast the slope decays now. For the predictor `ensemble`, beside its fixed shapes. One thread.

#include <array>
#include <cstddef>
#include <span>

namespace sluice::manager {

/// A report as these fits see it: relative to the newest one.
struct SeenReport {
  double age = 0;   ///< ≥ 0, in reports
  double loss = 0;  ///< less the newest report's
  double mass = 1;  ///< reports that it stands for, a whole number
};

/// Four families × three forgetting rates. In all of them the slope after t reports is s (1 + r t/m)^−m: m = 3/2, 2, 3 are the curves c + a (k + o)^−1/2, −1,
/// −2, and m = ∞ is c + a e^(−rk), which r < 0 makes grow. c and s are least squares in closed form; r moves by Gauss and Newton's method on what remains
/// (variable projection: Golub, Pereyra, SIAM Journal on Numerical Analysis 10(2), 1973), from where it was a report ago.
class FreeCurves {
 public:
  static constexpr std::size_t kFamilies = 4, kRates = 3, kFits = kFamilies * kRates;
  struct Fit {
    float slope = 0;  ///< at the newest report, a report
    float decay = 0;  ///< r, a report
    float level = 0;  ///< of the curve at the newest report, less that report
  };
  /// Fits all anew. `seen`: newest first. `age` > 0: of the job, in reports, and `noise`, a report's variance: where there is noise r stays near a few over the
  /// age.
  void refit(std::span<const SeenReport> seen, double age, double noise);
  [[nodiscard]] const std::array<Fit, kFits>& fits() const { return fits_; }
  /// How much the curve of fits()[index] changes within the next `reports` ≥ 0. Finite.
  [[nodiscard]] static double change(std::size_t index, const Fit& fit, double reports) {
    double out = 0;
    changes(index, fit, {&reports, 1}, {&out, 1});
    return out;
  }
  /// The same for several at once. REQUIRES: as many of both.
  static void changes(std::size_t index, const Fit& fit, std::span<const double> reports, std::span<double> out);

 private:
  std::array<Fit, kFits> fits_{};
};

}  // namespace sluice::manager
