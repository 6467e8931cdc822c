#pragma once
/// A block of rows in bins, and the sums of their gradients a bin.

#include <cstdint>
#include <span>
#include <vector>

#include "worker/model.h"

namespace sluice::worker::models::trees {

inline constexpr std::uint32_t kBinsMax = 256;  // a bin is a byte

/// The ascending edges of each feature, as a table holds them: `width` floats from each feature's to the next one's, the first of which says how many edges
/// follow. of() throws std::runtime_error where that is none of 0 … most.
class Edges {
 public:
  Edges(std::span<const float> table, std::size_t width) : Edges(table, width, width - 1) {}
  Edges(std::span<const float> table, std::size_t width, std::size_t most) : table_(table), width_(width), most_(most) {}
  [[nodiscard]] std::span<const float> of(std::size_t feature) const;

 private:
  std::span<const float> table_;
  std::size_t width_, most_;
};

/// One row's share in a node's histogram.
struct RowSums {
  std::uint32_t row = 0;  ///< of the block
  float g = 0, h = 0;
};

/// Scratch of one slot thread.
class Histogram {
 public:
  /// Finds the bins of rows [first, first + rows) of the batch; dense: each feature of each row, sparse: each entry. At most kBinsMax bins a feature.
  void bin(const Batch& batch, std::uint32_t first, std::uint32_t rows, const Edges& edges);
  /// Adds rows of the block to `into`: features × bins × (g, h). Sparse rows: entries only; see add_zeros().
  void add(std::span<const RowSums> rows, std::size_t bins, std::span<float> into) const;
  /// The rows of a node of sparse rows, whose sums are `g` and `h`, have 0 where they have no entry: adds to each feature's bin of 0 what its other bins lack.
  static void add_zeros(double g, double h, std::size_t bins, const Edges& edges, std::span<float> into);

 private:
  Batch batch_;
  std::uint32_t first_ = 0;
  std::vector<std::uint8_t> bins_;  // dense: rows × features; sparse: of each entry
};

}  // namespace sluice::worker::models::trees
