#include "worker/models/polynomial.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "base/rng.h"
#include "worker/models/key_index.h"
#include "worker/models/linear.h"
#include "worker/models/sparse_rows.h"

namespace sluice::worker::models {
namespace {

/// Where the expanded features are.
struct Places {
  std::uint64_t features = 0;
  std::uint64_t rows = 0;  ///< of the table
  bool hashed = false;

  Places(std::uint64_t given, unsigned bits) : features(given), rows(std::uint64_t{1} << bits) {
    // Before the product, so that it can't overflow.
    hashed = features >= rows || features + features * (features + 1) / 2 > rows;
    if (!hashed) rows = features + features * (features + 1) / 2;
  }
  [[nodiscard]] std::uint32_t of(std::uint64_t i) const { return static_cast<std::uint32_t>(hashed ? mix64(i) & (rows - 1) : i); }
  [[nodiscard]] std::uint32_t of(std::uint64_t i, std::uint64_t j) const {
    if (i > j) std::swap(i, j);
    if (hashed) return static_cast<std::uint32_t>(mix64(i + 1, j) & (rows - 1));
    return static_cast<std::uint32_t>(features + i * features - i * (i + 1) / 2 + j);
  }
};

class Polynomial final : public Model {
 public:
  Polynomial(std::unique_ptr<Model> linear, const Places& places, double gamma)
      : linear_(std::move(linear)),
        places_(places),
        single_(static_cast<float>(std::sqrt(2 * gamma))),
        square_(static_cast<float>(gamma)),
        product_(static_cast<float>(std::sqrt(2.0) * gamma)) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override { return linear_->tables(); }

  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    const Batch rows = sparse_.of(batch);
    seen_.clear(std::min(cost(rows, 0, rows.rows), places_.rows));
    for (std::uint32_t row = 0; row < rows.rows; ++row) {
      each_feature(rows, row, [&](std::uint32_t index, float) {
        if (seen_.add(index)) out[0].push_back(index);
      });
    }
    std::sort(out[0].begin(), out[0].end());
  }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    const Batch rows = sparse_.of(batch);
    return linear_->update(params, expanded(rows, 0, rows.rows), out);
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    const Batch rows = sparse_.of(batch);
    outputs_.clear();
    for (std::uint32_t first = 0; first < rows.rows; first += kRows) {
      const auto part = linear_->outputs(params, expanded(rows, first, std::min(kRows, rows.rows - first)));
      outputs_.insert(outputs_.end(), part.begin(), part.end());
    }
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    const Batch rows = sparse_.of(batch);
    Scores sum;
    for (std::uint32_t first = 0; first < rows.rows; first += kRows) {
      const Scores part = linear_->evaluate(params, expanded(rows, first, std::min(kRows, rows.rows - first)));
      sum.examples += part.examples;
      sum.loss_sum += part.loss_sum;
      sum.metric_sum += part.metric_sum;
    }
    return sum;
  }

 private:
  static constexpr std::uint32_t kRows = 32;  ///< at a time: an evaluation's batches are large

  /// Features of rows [first, first + count).
  [[nodiscard]] static std::uint64_t cost(const Batch& rows, std::uint32_t first, std::uint32_t count) {
    std::uint64_t sum = 0;
    for (std::uint32_t row = first; row < first + count; ++row) {
      const std::uint64_t n = rows.offsets[row + 1] - rows.offsets[row];
      sum += n * (n + 3) / 2;
    }
    return sum;
  }

  /// visit(place, value) of each feature of a row.
  template <class Visit>
  void each_feature(const Batch& rows, std::uint32_t row, Visit visit) const {
    for (std::uint64_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e) {
      const std::uint32_t i = rows.indices[e];
      const float x = rows.values[e];
      visit(places_.of(i), single_ * x);
      visit(places_.of(i, i), square_ * x * x);
      for (std::uint64_t other = e + 1; other < rows.offsets[row + 1]; ++other) visit(places_.of(i, rows.indices[other]), product_ * x * rows.values[other]);
    }
  }

  /// Rows [first, first + count) with their features. Lives until the next call.
  Batch expanded(const Batch& rows, std::uint32_t first, std::uint32_t count) {
    const std::uint64_t room = cost(rows, first, count);
    constexpr std::uint64_t kMost = std::uint64_t{1} << 27;
    if (room > kMost)
      throw std::runtime_error(fmt::format("a batch of {} rows has {} features and pairs, more than {}; take a smaller batch", count, room, kMost));
    offsets_.assign(1, 0);
    indices_.clear();
    values_.clear();
    indices_.reserve(room);
    values_.reserve(room);
    for (std::uint32_t row = first; row < first + count; ++row) {
      each_feature(rows, row, [&](std::uint32_t index, float value) {
        indices_.push_back(index);
        values_.push_back(value);
      });
      offsets_.push_back(indices_.size());
    }
    Batch out = rows;
    out.rows = count;
    out.features = places_.rows;
    out.labels = rows.labels.subspan(first, count);
    out.offsets = offsets_;
    out.indices = indices_;
    out.values = values_;
    return out;
  }

  const std::unique_ptr<Model> linear_;
  const Places places_;
  const float single_, square_, product_;
  // Scratch: keeps its memory between batches, never its content.
  std::vector<float> outputs_;
  mutable SparseRows sparse_;
  mutable KeyIndex seen_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint32_t> indices_;
  std::vector<float> values_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_svm_poly(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("svm-poly", params, {"l2", "loss", "gamma", "bits"});
  if (!read) return fail(read.error());
  const auto gamma = read->number("gamma", shape.sparse || shape.features == 0 ? 1 : 1 / static_cast<double>(shape.features), 1e-9, 1e6);
  if (!gamma) return fail(gamma.error());
  const auto bits = read->whole("bits", 18, 4, 30);
  if (!bits) return fail(bits.error());
  if (shape.features == 0) return make_svm_from("svm-poly", read, shape);  // its words
  const Places places(shape.features, *bits);
  auto linear = make_svm_from("svm-poly", read, {shape.rows, places.rows, shape.classes, true});
  if (!linear) return fail(linear.error());
  return std::make_unique<Polynomial>(std::move(*linear), places, *gamma);
}

}  // namespace sluice::worker::models
