#pragma once
/// Numbers of a view as short as they may be in a record.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace sluice::manager {

/// To about six digits, or whole numbers above a million, so that a record of it is short: what a forecast says of a fall is never better than that. Not
/// falling in x; 0 stays 0.
[[nodiscard]] inline double few_digits(double x) {
  constexpr int kDigits = 6, kExactPowers = 22;  // a double holds 10²² exactly
  static const std::array<double, kExactPowers + 1> kTen = [] {
    std::array<double, kExactPowers + 1> out{1};
    for (std::size_t i = 1; i < out.size(); ++i) out[i] = out[i - 1] * 10;
    return out;
  }();
  if (x == 0 || !std::isfinite(x)) return x;
  // How many digits follow the point is told from the power of two below.
  const int power = std::ilogb(x);
  const auto places_at = [](int p) { return std::max(kDigits - 1 - static_cast<int>(std::floor(p * 0.30103)), 0); };
  const int places = places_at(power), above = places_at(power + 1);
  if (places > kExactPowers) return x;
  const auto to = [](double value, int digits) {
    const double ten = kTen[static_cast<std::size_t>(digits)];
    return std::round(value * ten) / ten;
  };
  const double out = to(std::abs(x), places);
  // Where the next power has fewer of them it may be rounded down: what is below must not be above it then.
  return std::copysign(above == places ? out : std::min(out, to(std::ldexp(1.0, power + 1), above)), x);
}

}  // namespace sluice::manager
