#include "worker/models/gbt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "base/assert.h"
#include "base/rng.h"
#include "worker/models/loss.h"
#include "worker/models/params.h"
#include "worker/models/trees/bins.h"
#include "worker/models/trees/forest.h"
#include "worker/models/trees/growth.h"
#include "worker/models/trees/histogram.h"
#include "worker/models/trees/margin_cache.h"

namespace sluice::worker::models {
namespace {

using namespace trees;

/// Rows at a time: their bins stay in the cache.
std::uint32_t block_rows(std::uint64_t features) { return static_cast<std::uint32_t>(std::clamp<std::uint64_t>((1U << 20) / features, 256, 4096)); }

class Gbt final : public Model {
 public:
  explicit Gbt(const GrowthSpec& spec, double subsample, std::uint64_t rows)
      : spec_(spec), subsample_(subsample), done_(spec.tree), growing_(spec.tree), cache_(rows, spec.outputs), row_(spec.sparse ? spec.tree.features : 0) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override { return growth_tables(spec_); }
  void keys(const Batch&, std::vector<std::vector<Key>>&) const override {}
  [[nodiscard]] UpdateKind update_kind() const override { return UpdateKind::kStatistics; }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override { return kBinPasses + epochs * spec_.tree.depth; }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    const std::span<float> labels = out[kLabels].values, sums = out[kSums].values;
    std::fill(labels.begin(), labels.end(), 0.0F);
    std::fill(sums.begin(), sums.end(), 0.0F);
    const Progress at = begin(params);
    Losses losses;
    node_sums_.assign(at.stage < kBinPasses ? 0 : std::size_t{spec_.outputs} << at.level, Sums{});
    for (std::uint32_t first = 0, step = block_rows(spec_.tree.features); first < batch.rows; first += step) {
      const std::uint32_t rows = std::min(step, batch.rows - first);
      margins(batch, first, rows, at);
      const Losses part = loss(batch, first, rows, at);
      losses.loss_sum += part.loss_sum;
      losses.loss_squares += part.loss_squares;
      if (at.stage < kBinPasses) {
        count_labels(batch.labels.subspan(first, rows), labels);
        count_cells(params, batch, first, rows, at.stage, sums);
      } else {
        histograms(params, batch, first, rows, at, sums);
      }
    }
    if (spec_.sparse && at.stage >= kBinPasses) {
      const Edges edges = edges_of(params);
      for (std::size_t n = 0; n < node_sums_.size(); ++n) {
        const std::size_t tree = n >> at.level, node = n - (tree << at.level);
        if (node_sums_[n].h > 0) Histogram::add_zeros(node_sums_[n].g, node_sums_[n].h, spec_.bins, edges, node_histogram(spec_, sums, tree, node));
      }
    }
    return losses;
  }

  PhaseEnd finish_phase(std::span<const TableView> all, std::uint32_t, std::span<const TableUpdate> out) override {
    return grow(spec_, all, out, /*other_rows_next=*/subsample_ < 1);
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    const Progress at = begin(params);
    outputs_.resize(std::size_t{batch.rows} * spec_.outputs);
    for (std::uint32_t first = 0, step = block_rows(spec_.tree.features); first < batch.rows; first += step) {
      const std::uint32_t rows = std::min(step, batch.rows - first);
      margins(batch, first, rows, at);
      std::copy_n(shown_.begin(), std::size_t{rows} * spec_.outputs, outputs_.begin() + static_cast<std::ptrdiff_t>(std::size_t{first} * spec_.outputs));
    }
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    (void)outputs(params, batch);
    if (spec_.classes == 0) return squares_scores(outputs_, batch.labels);
    if (spec_.outputs == 1) return logistic_scores(outputs_, batch.labels);
    return softmax_scores(outputs_, batch.labels, spec_.classes);
  }
  [[nodiscard]] std::string metric() const override { return spec_.classes == 0 ? "mse" : "accuracy"; }

 private:
  /// Where training is; the trees are made ready to be walked.
  Progress begin(std::span<const TableView> params) {
    const Progress at = progress_of(spec_, params);
    const std::size_t each = spec_.tree.floats(), ready = std::size_t{at.round} * spec_.outputs;
    const std::span<const float> trees = params[kTrees].values;
    const std::size_t had = done_.size(), same = done_.follow(trees.first(ready * each));
    // Bit for bit: a NaN among them is found too.
    const bool same_base = base_.size() == at.base.size() && std::memcmp(base_.data(), at.base.data(), at.base.size_bytes()) == 0;
    if (same < had || !same_base) cache_.clear();
    base_.assign(at.base.begin(), at.base.end());
    const bool growing = at.stage >= kBinPasses && at.round < spec_.rounds;
    (void)growing_.follow(growing ? trees.subspan(ready * each, spec_.outputs * each) : std::span<const float>());
    return at;
  }

  /// Calls visit(features of the row) for row i.
  template <class Visit>
  void with_row(const Batch& batch, std::uint32_t i, const Visit& visit) {
    if (!spec_.sparse) return visit(batch.dense.subspan(i * batch.features, batch.features));
    for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) row_[batch.indices[e]] = batch.values[e];
    visit(std::span<const float>(row_));
    for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) row_[batch.indices[e]] = 0;
  }

  /// Of the block's rows: margins_ of the ended rounds, shown_ with the growing trees, places_ in them (row-major, `outputs` a row), sampled_.
  void margins(const Batch& batch, std::uint32_t first, std::uint32_t rows, const Progress& at) {
    const std::size_t outputs = spec_.outputs, trees = done_.size();
    margins_.resize(rows * outputs), shown_.resize(rows * outputs), places_.resize(rows * outputs), sampled_.assign(rows, 1);
    for (std::uint32_t i = 0; i < rows; ++i) {
      const std::span<float> margin = std::span(margins_).subspan(i * outputs, outputs);
      const RowHash hash = trees > 0 || subsample_ < 1 ? hash_row(batch, first + i) : RowHash{};
      if (subsample_ < 1) sampled_[i] = unit_double(mix64(mix64(hash.low, at.chance), at.round)) < subsample_ ? 1 : 0;
      with_row(batch, first + i, [&](std::span<const float> row) {
        if (trees > 0) {
          const MarginCache::Entry known = cache_.entry(hash);
          if (known.trees == 0) std::copy(base_.begin(), base_.end(), known.margins.begin());
          if (known.trees < trees) done_.add(row, known.trees, trees, known.margins), known.trees = static_cast<std::uint32_t>(trees);
          std::copy(known.margins.begin(), known.margins.end(), margin.begin());
        } else {
          std::copy(base_.begin(), base_.end(), margin.begin());
        }
        for (std::size_t k = 0; k < outputs; ++k) {
          const std::uint32_t leaf = growing_.size() > 0 ? growing_.place(row, k, spec_.tree.depth) : 0;
          places_[i * outputs + k] = leaf >> (spec_.tree.depth - at.level);
          shown_[i * outputs + k] = margin[k] + (growing_.size() > 0 ? growing_.leaf(k, leaf) : 0);
        }
      });
    }
  }

  /// Of shown_; margins_ become the gradients where they are needed.
  Losses loss(const Batch& batch, std::uint32_t first, std::uint32_t rows, const Progress& at) {
    const auto labels = batch.labels.subspan(first, rows);
    if (at.stage >= kBinPasses) (void)slopes(margins_, labels);
    return slopes(shown_, labels);
  }
  Losses slopes(std::span<float> margins, std::span<const float> labels) const {
    if (spec_.classes == 0) return squares_loss(margins, labels, 1);
    if (spec_.outputs == 1) return logistic_loss(margins, labels, 1);
    return softmax_loss(margins, labels, spec_.classes, 1);
  }
  [[nodiscard]] float hessian(float slope, bool is_label) const {
    if (spec_.classes == 0) return 1;
    const float p = is_label ? slope + 1 : slope, rest = is_label ? -slope : 1 - slope;
    return std::max(p * rest * (spec_.outputs == 1 ? 1.0F : 2.0F), 1e-16F);
  }

  void count_labels(std::span<const float> labels, std::span<float> out) const {
    out[0] += static_cast<float>(labels.size());
    for (const float label : labels) {
      if (spec_.classes == 0) out[1] += label;
      if (spec_.classes > 0) out[1 + static_cast<std::size_t>(label)] += 1;
    }
  }

  /// Counts the block's values by cell: of the coarse ones, or of a refinement.
  void count_cells(std::span<const TableView> params, const Batch& batch, std::uint32_t first, std::uint32_t rows, std::uint32_t stage, std::span<float> out) {
    const std::size_t width = out.size() / spec_.tree.features;
    const auto count = [&](const Edges& edges, std::size_t feature, float value, float by) {
      out[feature * width + (stage == 0 ? coarse_cell(value) : bin_of(edges.of(feature), value))] += by;
    };
    const Edges edges = stage == 0 ? edges_of(params) : grid_of(params, stage - 1);
    if (!spec_.sparse) {
      for (std::size_t f = 0; f < batch.features; ++f) {
        for (std::uint32_t i = first; i < first + rows; ++i) count(edges, f, batch.dense[i * batch.features + f], 1);
      }
      return;
    }
    entries_.assign(spec_.tree.features, 0);
    for (std::uint64_t e = batch.offsets[first]; e < batch.offsets[first + rows]; ++e) {
      count(edges, batch.indices[e], batch.values[e], 1);
      ++entries_[batch.indices[e]];
    }
    for (std::size_t f = 0; f < entries_.size(); ++f) count(edges, f, 0, static_cast<float>(rows - entries_[f]));
  }

  [[nodiscard]] Edges edges_of(std::span<const TableView> params) const { return {params[kEdges].values, spec_.bins}; }
  [[nodiscard]] Edges grid_of(std::span<const TableView> params, std::uint32_t which) const { return grid_edges(spec_, params[kGrid].values, which); }

  /// margins_ hold the gradients.
  void histograms(std::span<const TableView> params, const Batch& batch, std::uint32_t first, std::uint32_t rows, const Progress& at, std::span<float> out) {
    histogram_.bin(batch, first, rows, edges_of(params));
    const std::size_t outputs = spec_.outputs, nodes = std::size_t{1} << at.level;
    by_node_.resize(nodes);
    for (std::size_t k = 0; k < outputs; ++k) {
      for (auto& list : by_node_) list.clear();
      for (std::uint32_t i = 0; i < rows; ++i) {
        if (sampled_[i] == 0) continue;
        const float slope = margins_[i * outputs + k];
        const auto label = batch.labels[first + i];
        const bool is_label = outputs == 1 ? label > 0 : static_cast<std::size_t>(label) == k;
        by_node_[places_[i * outputs + k]].push_back({i, slope, hessian(slope, is_label)});
      }
      for (std::size_t n = 0; n < nodes; ++n) {
        if (by_node_[n].empty() || !at.open(k, n)) continue;
        histogram_.add(by_node_[n], spec_.bins, node_histogram(spec_, out, k, n));
        Sums& sum = node_sums_[(k << at.level) + n];
        for (const RowSums& row : by_node_[n]) sum.g += static_cast<double>(row.g), sum.h += static_cast<double>(row.h);
      }
    }
  }

  const GrowthSpec spec_;
  const double subsample_;
  Forest done_, growing_;  // of the ended rounds; of the round that grows
  MarginCache cache_;
  Histogram histogram_;
  std::vector<float> base_;
  std::vector<float> row_;  // sparse: a row written out; zeros between rows
  std::vector<float> margins_, shown_, outputs_;
  std::vector<std::uint32_t> places_, entries_;
  std::vector<std::uint8_t> sampled_;
  std::vector<Sums> node_sums_;  // outputs × nodes of the level: of this batch
  std::vector<std::vector<RowSums>> by_node_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_gbt(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("gbt", params, {"depth", "bins", "lr", "lambda", "gamma", "min_child_weight", "subsample"});
  if (!read) return fail(read.error());
  const auto depth = read->whole("depth", 6, 1, 10), bins = read->whole("bins", 64, 4, kBinsMax);
  const auto lr = read->number("lr", 0.3, 0.001, 1), lambda = read->number("lambda", 1, 0, 1e6), gamma = read->number("gamma", 0, 0, 1e9);
  const auto least = read->number("min_child_weight", 1, 0, 1e9), subsample = read->number("subsample", 1, 0.01, 1);
  for (const auto* whole : {&depth, &bins}) {
    if (!*whole) return fail(whole->error());
  }
  for (const auto* number : {&lr, &lambda, &gamma, &least, &subsample}) {
    if (!*number) return fail(number->error());
  }
  if (shape.classes == 1 || shape.classes > 256)
    return fail(Errc::kBadConfig, fmt::format("model 'gbt' needs targets, or data of 2 to 256 classes, {}", classes_words(shape)));
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'gbt' needs data with at least one feature");
  GrowthSpec spec;
  spec.tree = {*depth, shape.features};
  spec.outputs = shape.classes > 2 ? shape.classes : 1;
  spec.classes = shape.classes;
  spec.rounds = std::max(shape.epochs, 1U);
  spec.bins = *bins;
  spec.sparse = shape.sparse;
  spec.lr = *lr;
  spec.rules = {*lambda, *gamma, *least};
  const std::uint64_t each = std::max<std::uint64_t>(kCoarseCells, spec.feature_floats());
  if (each > proto::kTableWidthMax || shape.features > kGbtFloatsMax / each) {
    return fail(
        Errc::kBadConfig,
        fmt::format("model 'gbt': {} features × {} bins × {} nodes of the last level × {} trees a round, two sums each (at least {} floats a "
                    "feature), are more than {} floats, or more than {} a feature; fewer bins or a smaller depth may do, or fewer features",
                    shape.features, spec.bins, std::size_t{1} << (spec.tree.depth - 1), spec.outputs, kCoarseCells, kGbtFloatsMax, proto::kTableWidthMax));
  }
  if (std::uint64_t{spec.rounds} * spec.outputs > kGbtFloatsMax / spec.tree.floats())
    return fail(Errc::kBadConfig, fmt::format("model 'gbt': {} rounds of {} trees of depth {} are more than {} floats", spec.rounds, spec.outputs,
                                              spec.tree.depth, kGbtFloatsMax));
  return std::make_unique<Gbt>(spec, *subsample, shape.rows);
}

}  // namespace sluice::worker::models
