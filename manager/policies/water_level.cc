#include "manager/policies/water_level.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::manager {
namespace {

constexpr int kStepsMax = 200;
constexpr double kSame = 1e-14;  ///< of a level: no step at all, but for rounding

/// The sum at some level: slope × level + fixed.
struct Piece {
  double slope = 0;
  std::uint64_t fixed = 0;  ///< of the claims that are at a bound
};

Piece piece_at(std::span<const double> rates, std::span<const std::uint32_t> least, std::span<const std::uint32_t> most, double level) {
  Piece out;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const double x = rates[i] * level;
    const bool below = x <= least[i], above = x >= most[i];
    out.slope += below || above ? 0 : rates[i];
    out.fixed += above ? most[i] : below ? least[i] : 0;
  }
  return out;
}

/// None of the claims is at a bound there: their sum is the sum of the rates times the level.
bool all_between(std::span<const double> rates, std::span<const std::uint32_t> least, std::span<const std::uint32_t> most, double level) {
  constexpr std::size_t kBlock = 1024;
  for (std::size_t first = 0; first < rates.size(); first += kBlock) {
    std::uint32_t bound = 0;
    for (std::size_t i = first, end = std::min(rates.size(), first + kBlock); i < end; ++i) {
      const double x = rates[i] * level, low = static_cast<std::int32_t>(least[i]), high = static_cast<std::int32_t>(most[i]);
      bound |= (most[i] != 0) & ((x <= low) | (x >= high)) ? 1U : 0U;
    }
    if (bound != 0) return false;
  }
  return true;
}

/// Where all have their most.
double highest(std::span<const double> rates, std::span<const std::uint32_t> most) {
  double high = 0;
  for (std::size_t i = 0; i < rates.size(); ++i) high = most[i] == 0 ? high : std::max(high, (most[i] + 1.0) / rates[i]);
  return high;
}

}  // namespace

WaterLevel water_level(std::span<const double> rates, std::span<const std::uint32_t> least, std::span<const std::uint32_t> most, std::uint32_t there_is) {
  std::uint64_t all = 0;
  double sum = 0;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    all += most[i];
    sum += most[i] == 0 ? 0 : rates[i];
  }
  if (all <= there_is) return {highest(rates, most), true};
  if (const double level = there_is / sum; all_between(rates, least, most, level)) return {level, false};
  double low = 0, high = std::numeric_limits<double>::infinity(), level = there_is / sum;
  for (int step = 0; step < kStepsMax; ++step) {
    const Piece piece = piece_at(rates, least, most, level);
    const double filled = piece.slope * level + static_cast<double>(piece.fixed);
    if (piece.slope == 0 && piece.fixed == there_is) break;
    (filled <= there_is ? low : high) = level;
    const double exact = piece.slope > 0 ? (there_is - static_cast<double>(piece.fixed)) / piece.slope : low;
    if (piece.slope > 0 && std::abs(exact - level) <= kSame * level) break;
    if (!(exact > low && exact < high) && std::isinf(high)) high = highest(rates, most);
    level = exact > low && exact < high ? exact : 0.5 * (low + high);
  }
  return {level, false};
}

}  // namespace sluice::manager
