#pragma once
/// Short numbers: a page of thousands of them need not say seventeen digits of each.

#include <cmath>

namespace sluice::cli::report {

/// `value` to `digits` significant digits; what is not finite stays as it is.
[[nodiscard]] inline double rounded(double value, int digits) {
  if (value == 0 || !std::isfinite(value)) return value;
  const double scale = std::pow(10.0, digits - 1 - static_cast<int>(std::floor(std::log10(std::abs(value)))));
  const double result = std::round(value * scale) / scale;
  return std::isfinite(result) ? result : value;
}

}  // namespace sluice::cli::report
