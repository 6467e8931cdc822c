#pragma once
/// Weighted water-filling: the level at which clamp(rate × level, least, most) add up to what there is. Pure.

#include <cstdint>
#include <span>

namespace sluice::manager {

struct WaterLevel {
  double level = 0;
  bool enough = false;  ///< all have their most; the level is then any at which they do
};

/// One entry of each span a claim; rates > 0, least ≤ most; claims of most 0 count as if they were not there, to the last bit. Newton's method on a line with
/// kinks, within brackets: it ends where a step comes back to itself, and the level is then exact. A handful of passes.
/// REQUIRES: the sum of `least` ≤ `there_is`.
[[nodiscard]] WaterLevel water_level(std::span<const double> rates, std::span<const std::uint32_t> least, std::span<const std::uint32_t> most,
                                     std::uint32_t there_is);

}  // namespace sluice::manager
