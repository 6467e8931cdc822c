#include "worker/models/trees/bins.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "base/assert.h"

namespace sluice::worker::models::trees {
namespace {

constexpr std::uint32_t kSign = 0x80000000U;
constexpr std::uint32_t kLast = 0xff7fffffU;           // of the largest float
constexpr std::uint32_t kFirst = kSign - 0x7f7fffffU;  // of −the largest; −0's image is not used
constexpr std::uint32_t kCoarseShift = 21;

/// Neighbouring cells together, so that at most `most` are left.
std::vector<Cell> merged(std::span<const Cell> cells, std::size_t most) {
  std::vector<Cell> out(cells.begin(), cells.end());
  while (out.size() > most) {  // pairs: cells are few, and rarely too many
    std::vector<Cell> half;
    for (std::size_t i = 0; i < out.size(); i += 2) {
      half.push_back(out[i]);
      if (i + 1 < out.size()) half.back().high = out[i + 1].high, half.back().rows += out[i + 1].rows;
    }
    out = std::move(half);
  }
  return out;
}

double rows_of(std::span<const Cell> cells) {
  double sum = 0;
  for (const Cell& cell : cells) sum += cell.rows;
  return sum;
}

/// An edge so that what is at most `below` is under it, and what is at least `above` is not.
float edge_between(std::uint32_t below, std::uint32_t above) {
  const float low = of_image(below), high = of_image(above);
  const float middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
  return middle > low && middle <= high ? middle : high;
}

}  // namespace

std::uint32_t image(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value + 0.0F);
  return (bits & kSign) != 0 ? kSign - (bits & ~kSign) : bits | kSign;
}

float of_image(std::uint32_t image) {
  const std::uint32_t known = std::clamp(image, kFirst, kLast);
  return std::bit_cast<float>(known >= kSign ? known & ~kSign : (kSign - known) | kSign);
}

std::vector<Cell> coarse_cells(std::span<const float> counts) {
  SLUICE_ASSERT(counts.size() == kCoarseCells);
  std::vector<Cell> out;
  for (std::uint32_t c = 0; c < kCoarseCells; ++c) {
    if (counts[c] > 0) out.push_back({c << kCoarseShift, (c << kCoarseShift) + ((1U << kCoarseShift) - 1), static_cast<double>(counts[c])});
  }
  return out;
}

std::vector<Cell> cells_of(std::span<const float> counts, std::span<const float> edges) {
  SLUICE_ASSERT(counts.size() == edges.size() + 1);
  std::vector<Cell> out;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    if (counts[c] <= 0) continue;
    const std::uint32_t low = c == 0 ? kFirst : image(edges[c - 1]);
    const std::uint32_t high = c == edges.size() ? kLast : image(edges[c]) - 1;
    out.push_back({low, std::max(low, high), static_cast<double>(counts[c])});
  }
  return out;
}

std::vector<float> refine(std::span<const Cell> all, std::size_t most) {
  SLUICE_ASSERT(most >= 8);
  const std::vector<Cell> cells = merged(all, most / 4);  // two edges around each: at most half of all
  const double rows = rows_of(cells), inside = static_cast<double>(most - 2 * cells.size());
  std::vector<float> edges;
  for (const Cell& cell : cells) {
    const std::uint64_t width = std::uint64_t{cell.high} - cell.low + 1;
    const std::uint64_t parts = std::min<std::uint64_t>(width, 1 + static_cast<std::uint64_t>(inside * (cell.rows / rows)));
    for (std::uint64_t p = 0; p <= parts; ++p) {
      const std::uint64_t at = cell.low + width * p / parts;
      if (at <= kFirst || at > kLast) continue;
      const float edge = of_image(static_cast<std::uint32_t>(at));
      if (edges.empty() || edge > edges.back()) edges.push_back(edge);
    }
  }
  SLUICE_ASSERT(edges.size() <= most);
  return edges;
}

std::vector<float> bin_edges(std::span<const Cell> cells, std::size_t bins) {
  const double heavy = rows_of(cells) / static_cast<double>(bins);
  const auto is_heavy = [&](const Cell& cell) { return cell.rows >= heavy; };
  double light_left = 0, taken = 0;
  std::size_t bins_left = bins, heavy_left = 0;
  for (const Cell& cell : cells) is_heavy(cell) ? void(++heavy_left) : void(light_left += cell.rows);
  std::vector<float> edges;
  for (std::size_t c = 0; c + 1 < cells.size() && bins_left > 1; ++c) {
    const Cell &cell = cells[c], &next = cells[c + 1];
    bool full = cells.size() <= bins || is_heavy(cell) || is_heavy(next);
    if (is_heavy(cell)) {
      --heavy_left;
    } else {
      taken += cell.rows;
      const double share = light_left / static_cast<double>(bins_left > heavy_left ? bins_left - heavy_left : 1);
      full = full || taken + next.rows / 2 > share;  // with the next cell it would be farther from its share
    }
    if (!full) continue;
    edges.push_back(edge_between(cell.high, next.low));
    light_left -= taken, taken = 0, --bins_left;
  }
  return edges;
}

}  // namespace sluice::worker::models::trees
