#pragma once
/// The tables of gradient-boosted trees (worker/models/gbt.h), where training stands in them, and what the end of a pass makes of the sums.

#include <cstdint>
#include <span>
#include <vector>

#include "worker/model.h"
#include "worker/models/trees/forest.h"
#include "worker/models/trees/histogram.h"
#include "worker/models/trees/splits.h"

namespace sluice::worker::models::trees {

struct GrowthSpec {
  TreeShape tree;
  std::uint32_t outputs = 1;  ///< trees a round
  std::uint32_t classes = 0;  ///< 0: targets
  std::uint32_t rounds = 1;
  std::uint32_t bins = 64;
  bool sparse = false;
  double lr = 0.3;
  SplitRules rules;
  /// Sums of one feature at the last level.
  [[nodiscard]] std::uint64_t feature_floats() const { return std::uint64_t{bins} * 2 * outputs << (tree.depth - 1); }
};

/// Positions in tables().
enum GrowthTable : std::size_t { kProgress, kTrees, kEdges, kGrid, kChance, kLabels, kSums, kGrowthTables };
inline constexpr std::uint32_t kBinPasses = 3;  ///< stages before the first tree; stage 3: trees grow
[[nodiscard]] std::vector<TableDecl> growth_tables(const GrowthSpec& spec);

/// What the table `progress` says.
struct Progress {
  std::uint32_t stage = 0, round = 0, level = 0;
  std::span<const float> base;  ///< first margins
  std::uint64_t chance = 0;
  std::span<const float> growing;  ///< the round's trees, as in their table; empty before stage 3 and after the last round
  TreeShape tree;
  /// Whether node `node` of the level is there: its parent was split.
  [[nodiscard]] bool open(std::size_t output, std::size_t node) const;
};
/// Throws std::runtime_error where the state is none that training comes to.
[[nodiscard]] Progress progress_of(const GrowthSpec& spec, std::span<const TableView> params);

/// The edges of refinement 0 or 1.
[[nodiscard]] Edges grid_edges(const GrowthSpec& spec, std::span<const float> grid, std::uint32_t which);
/// A node's part of the sums: features × bins × 2.
[[nodiscard]] std::span<float> node_histogram(const GrowthSpec& spec, std::span<float> sums, std::size_t output, std::size_t node);

/// finish_phase(). `other_rows_next`: a round without a split does not mean that the next has none.
[[nodiscard]] PhaseEnd grow(const GrowthSpec& spec, std::span<const TableView> all, std::span<const TableUpdate> out, bool other_rows_next);

}  // namespace sluice::worker::models::trees
