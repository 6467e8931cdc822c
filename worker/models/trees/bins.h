#pragma once
/// Bins of gradient-boosted trees: edges at about equal shares of the rows, found from counts alone, which servers can add up. Floats are looked at as whole
/// numbers in the floats' order; counts by their top bits say where the rows are, cells that hold many are cut finer, and after two such refinements a cell
/// that holds half of the rows is some ten neighbouring floats. All features are finite.

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::worker::models::trees {

/// Keeps the order: a < b as floats ⇔ image(a) < image(b); −0 is 0.
[[nodiscard]] std::uint32_t image(float value);
/// The float whose image it is; of an image beyond the finite ones, the nearest finite float.
[[nodiscard]] float of_image(std::uint32_t image);

/// Cells of the first count: by the image's top bits (sign, exponent, two bits of the mantissa).
inline constexpr std::uint32_t kCoarseCells = 2048;
[[nodiscard]] inline std::uint32_t coarse_cell(float value) { return image(value) >> 21; }

/// How many of the ascending `edges` are at most `value`: its bin, or cell.
[[nodiscard]] inline std::uint32_t bin_of(std::span<const float> edges, float value) {
  const float* base = edges.data();
  std::size_t left = edges.size();
  if (left == 0) return 0;
  while (left > 1) {
    const std::size_t half = left / 2;
    base += base[half - 1] <= value ? half : 0;
    left -= half;
  }
  return static_cast<std::uint32_t>(base - edges.data()) + (*base <= value ? 1 : 0);
}

/// Rows whose values' images are in [low, high].
struct Cell {
  std::uint32_t low = 0, high = 0;
  double rows = 0;
};
/// The cells that hold rows, ascending. counts: of coarse_cell()s; or of the bins of `edges`, edges.size() + 1.
[[nodiscard]] std::vector<Cell> coarse_cells(std::span<const float> counts);
[[nodiscard]] std::vector<Cell> cells_of(std::span<const float> counts, std::span<const float> edges);

/// Ascending edges, at most `most` (≥ 8), that cut each cell into parts by its share of the rows, and off from its neighbours.
[[nodiscard]] std::vector<float> refine(std::span<const Cell> cells, std::size_t most);
/// The bins' ascending edges: at most bins − 1, each half-way between two cells that hold rows. A cell each where they are few; else a cell that holds a bin's
/// share or more is a bin, and the others' rows are dealt out evenly to the bins that are left.
[[nodiscard]] std::vector<float> bin_edges(std::span<const Cell> cells, std::size_t bins);

}  // namespace sluice::worker::models::trees
