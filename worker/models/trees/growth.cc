#include "worker/models/trees/growth.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "base/assert.h"
#include "worker/models/trees/bins.h"

namespace sluice::worker::models::trees {
namespace {

constexpr std::size_t kGridEdges = 1023;  // of one refinement; with their number 1024 floats
constexpr std::size_t kBase = 3;          // the first margins' column in `progress`

std::uint32_t whole(float value, std::uint32_t high, const char* what) {
  const auto number = static_cast<double>(value);
  if (!(number >= 0 && number <= high) || number != std::floor(number)) throw std::runtime_error(fmt::format("the state's {} is {}", what, number));
  return static_cast<std::uint32_t>(number);
}

/// First margins that fit the labels best: the mean, or the logarithm of the odds or shares, a share at least half a row.
std::vector<double> first_margins(const GrowthSpec& spec, std::span<const float> labels) {
  std::vector<double> out(spec.outputs);
  const double rows = static_cast<double>(labels[0]);
  if (rows <= 0) return out;
  const auto share = [&](std::size_t c) { return std::max(static_cast<double>(labels[1 + c]), 0.5) / rows; };
  if (spec.classes == 0) out[0] = static_cast<double>(labels[1]) / rows;
  if (spec.classes == 2) out[0] = std::log(share(1) / share(0));
  for (std::size_t k = 0; spec.classes > 2 && k < spec.outputs; ++k) out[k] = std::log(share(k));
  return out;
}

/// Writes a feature's edges where a table has a row of zeros for them.
void put_edges(std::span<float> row, std::span<const float> edges) {
  SLUICE_ASSERT(edges.size() < row.size());
  row[0] = static_cast<float>(edges.size());
  std::copy(edges.begin(), edges.end(), row.begin() + 1);
}

void finish_bins(const GrowthSpec& spec, std::uint32_t stage, std::span<const TableView> all, std::span<const TableUpdate> out) {
  const std::span<const float> sums = all[kSums].values;
  const std::size_t width = sums.size() / spec.tree.features;
  for (std::size_t f = 0; f < spec.tree.features; ++f) {
    const std::span<const float> counts = sums.subspan(f * width, width);
    const std::span<float> grid = out[kGrid].values.subspan(f * 2 * (kGridEdges + 1), 2 * (kGridEdges + 1));
    if (stage == 0) {
      put_edges(grid.first(kGridEdges + 1), refine(coarse_cells(counts.first(kCoarseCells)), kGridEdges));
      continue;
    }
    const std::span<const float> edges = grid_edges(spec, all[kGrid].values, stage - 1).of(f);
    const std::vector<Cell> cells = cells_of(counts.first(edges.size() + 1), edges);
    if (stage == 1) put_edges(grid.subspan(kGridEdges + 1), refine(cells, kGridEdges));
    if (stage == 2) put_edges(out[kEdges].values.subspan(f * spec.bins, spec.bins), bin_edges(cells, spec.bins));
  }
}

/// Splits the nodes of one tree's level. Returns whether any was.
bool split_level(const GrowthSpec& spec, const Progress& at, std::size_t output, std::span<const TableView> all, std::span<float> tree) {
  const std::span<const float> before = at.growing.subspan(output * spec.tree.floats(), spec.tree.floats());
  const Edges edges(all[kEdges].values, spec.bins);
  const std::size_t each = spec.tree.features * spec.bins * 2, nodes = std::size_t{1} << at.level;
  const auto write = [&](std::size_t where, double value) { tree[where] = static_cast<float>(value) - before[where]; };
  bool any = false;
  for (std::size_t n = 0; n < nodes; ++n) {
    if (!at.open(output, n)) continue;
    const auto histogram = all[kSums].values.subspan(((output << (spec.tree.depth - 1)) + n) * each, each);
    const std::size_t node = nodes - 1 + n;
    if (at.level == 0) write(spec.tree.left_leaf(node), spec.lr * leaf_weight(total_of(histogram.first(spec.bins * 2)), spec.rules));
    const auto split = best_split(histogram, spec.tree.features, spec.bins, spec.rules);
    if (!split || split->bin >= edges.of(split->feature).size()) continue;
    any = true;
    write(spec.tree.feature(node), split->feature + 1);
    write(spec.tree.threshold(node), static_cast<double>(edges.of(split->feature)[split->bin]));
    write(spec.tree.left_leaf(2 * node + 1), spec.lr * leaf_weight(split->left, spec.rules));
    write(spec.tree.left_leaf(2 * node + 2), spec.lr * leaf_weight(split->right, spec.rules));
  }
  return any;
}

}  // namespace

std::vector<TableDecl> growth_tables(const GrowthSpec& spec) {
  const auto dense = [](const char* name, std::uint64_t rows, std::uint64_t cols, TableUse use, proto::InitSpec init = {}) {
    return TableDecl{.name = name, .rows = rows, .cols = static_cast<std::uint32_t>(cols), .init = init, .use = use};
  };
  return {dense("progress", 1, kBase + spec.outputs, TableUse::kState),
          dense("trees", std::uint64_t{spec.rounds} * spec.outputs, spec.tree.floats(), TableUse::kState),
          dense("edges", spec.tree.features, spec.bins, TableUse::kState),
          dense("grid", spec.tree.features, 2 * (kGridEdges + 1), TableUse::kState),
          dense("chance", 1, 1, TableUse::kState, {proto::InitKind::kUniform, 1}),
          dense("labels", 1, 1 + std::max(spec.classes, 1U), TableUse::kStatistics),
          dense("sums", spec.tree.features, std::max<std::uint64_t>(kCoarseCells, spec.feature_floats()), TableUse::kStatistics)};
}

bool Progress::open(std::size_t output, std::size_t node) const {
  if (level == 0) return true;
  const std::size_t parent = (std::size_t{1} << (level - 1)) - 1 + node / 2;
  return growing[output * tree.floats() + tree.feature(parent)] > 0;
}

Progress progress_of(const GrowthSpec& spec, std::span<const TableView> params) {
  const std::span<const float> values = params[kProgress].values, trees = params[kTrees].values;
  SLUICE_ASSERT(values.size() == kBase + spec.outputs && params[kChance].values.size() == 1);
  Progress out;
  out.stage = whole(values[0], kBinPasses, "stage");
  out.round = whole(values[1], spec.rounds, "round");
  out.level = whole(values[2], spec.tree.depth - 1, "level");
  out.base = values.subspan(kBase);
  out.chance = std::bit_cast<std::uint32_t>(params[kChance].values[0]);
  const std::size_t round = spec.tree.floats() * spec.outputs;
  SLUICE_ASSERT(trees.size() == round * spec.rounds);
  if (out.stage == kBinPasses && out.round < spec.rounds) out.growing = trees.subspan(out.round * round, round);
  out.tree = spec.tree;
  return out;
}

Edges grid_edges(const GrowthSpec& spec, std::span<const float> grid, std::uint32_t which) {
  SLUICE_ASSERT(grid.size() == spec.tree.features * 2 * (kGridEdges + 1));
  return {grid.subspan(which * (kGridEdges + 1)), 2 * (kGridEdges + 1), kGridEdges};
}

std::span<float> node_histogram(const GrowthSpec& spec, std::span<float> sums, std::size_t output, std::size_t node) {
  const std::size_t each = spec.tree.features * spec.bins * 2;
  return sums.subspan(((output << (spec.tree.depth - 1)) + node) * each, each);
}

PhaseEnd grow(const GrowthSpec& spec, std::span<const TableView> all, std::span<const TableUpdate> out, bool other_rows_next) {
  SLUICE_ASSERT(all.size() == kGrowthTables && out.size() == kGrowthTables);
  const Progress at = progress_of(spec, all);
  for (const std::size_t t : {kProgress, kTrees, kEdges, kGrid, kChance}) std::fill(out[t].values.begin(), out[t].values.end(), 0.0F);
  for (const std::size_t t : {kLabels, kSums}) {  // what was summed is used up; exactly, as v + (−v) = 0
    std::transform(all[t].values.begin(), all[t].values.end(), out[t].values.begin(), [](float v) { return -v; });
  }
  const std::span<float> progress = out[kProgress].values;
  if (at.stage < kBinPasses) {
    if (at.stage == 0) {
      const std::vector<double> base = first_margins(spec, all[kLabels].values);
      for (std::size_t k = 0; k < base.size(); ++k) progress[kBase + k] = static_cast<float>(base[k]);
    }
    finish_bins(spec, at.stage, all, out);
    progress[0] = 1;
    return {};
  }
  if (at.growing.empty()) return {.done = true, .reason = "all rounds ended"};
  const std::size_t each = spec.tree.floats();
  bool any = false;
  for (std::size_t k = 0; k < spec.outputs; ++k) {
    const auto tree = out[kTrees].values.subspan((at.round * spec.outputs + k) * each, each);
    any = split_level(spec, at, k, all, tree) || any;
  }
  if (any && at.level + 1 < spec.tree.depth) {
    progress[2] = 1;
    return {};
  }
  progress[1] = 1;
  progress[2] = -static_cast<float>(at.level);
  if (at.round + 1 == spec.rounds) return {.done = true, .reason = "all rounds ended"};
  if (!any && at.level == 0 && !other_rows_next) return {.done = true, .reason = "no split gains anything"};
  return {};
}

}  // namespace sluice::worker::models::trees
