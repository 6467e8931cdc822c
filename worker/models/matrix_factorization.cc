#include "worker/models/matrix_factorization.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/assert.h"
#include "worker/models/key_index.h"
#include "worker/models/loss.h"
#include "worker/models/params.h"
#include "worker/models/sparse_rows.h"

namespace sluice::worker::models {
namespace {

class MatrixFactorization final : public Model {
 public:
  struct Settings {
    std::uint32_t rank = 0;
    float l2 = 0, init = 0;
  };
  MatrixFactorization(const DataShape& shape, const Settings& settings)
      : features_(shape.features), rank_(settings.rank), l2_(settings.l2), init_(settings.init) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{.name = "w", .kind = proto::TableKind::kSparse, .rows = features_, .cols = 1, .init = {}},
            {.name = "v", .kind = proto::TableKind::kSparse, .rows = features_, .cols = rank_, .init = {proto::InitKind::kNormal, init_}},
            {.name = "b", .kind = proto::TableKind::kDense, .rows = 1, .cols = 1, .init = {}}};
  }

  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    seen_.distinct(sparse_.of(batch).indices, out[0]);
    out[1] = out[0];
  }

  Losses update(std::span<const TableView> params, const Batch& given, std::span<const TableUpdate> out) override {
    const Batch batch = sparse_.of(given);
    forward(params, batch);
    const float scale = 1.0F / static_cast<float>(batch.rows);
    const Losses losses = squares_loss(outputs_, batch.labels, scale);
    gradient(params, batch, scale * l2_, out[0].values, out[1].values);
    column_sums(outputs_, out[2].values);
    return losses;
  }

  [[nodiscard]] bool takes_more_rows() const override { return true; }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& given) override {
    forward(params, sparse_.of(given));
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& given) override {
    const Batch batch = sparse_.of(given);
    forward(params, batch);
    return squares_scores(outputs_, batch.labels);
  }

  [[nodiscard]] std::string metric() const override { return "mse"; }

 private:
  /// How many entries row i has.
  static std::uint64_t entries(const Batch& batch, std::uint32_t i) {
    const std::uint64_t first = batch.offsets[i], n = batch.offsets[i + 1] - first;
    if (n > 2) throw std::runtime_error(fmt::format("a row has {} entries; model 'mf' takes two, a user and an item", n));
    for (std::uint64_t e = first; e < first + n; ++e) {
      if (batch.values[e] != 1)
        throw std::runtime_error(fmt::format("a row has the value {} for feature {}; model 'mf' takes 1", batch.values[e], batch.indices[e]));
    }
    return n;
  }

  /// Fills outputs_ and rows_ (the views' row of each entry).
  void forward(std::span<const TableView> params, const Batch& batch) {
    const TableView &w = params[0], &v = params[1];
    SLUICE_ASSERT(w.keys.size() == v.keys.size() && w.values.size() == w.keys.size() && v.values.size() == v.keys.size() * rank_);
    SLUICE_ASSERT(params[2].values.size() == 1 && batch.labels.size() == batch.rows);
    seen_.rows_of(batch.indices, w.keys, rows_, w.keys_number);
    outputs_.assign(batch.rows, params[2].values[0]);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const std::uint64_t first = batch.offsets[i], n = entries(batch, i);
      for (std::uint64_t e = first; e < first + n; ++e) outputs_[i] += w.values[rows_[e]];
      if (n == 2) outputs_[i] += product(factors(v.values, first), factors(v.values, first + 1));
    }
  }

  [[nodiscard]] std::span<const float> factors(std::span<const float> v, std::uint64_t entry) const {
    return v.subspan(std::size_t{rows_[entry]} * rank_, rank_);
  }

  static float product(std::span<const float> a, std::span<const float> b) {
    float sum = 0;
    for (std::size_t f = 0; f < a.size(); ++f) sum += a[f] * b[f];
    return sum;
  }

  /// outputs_ hold the deltas.
  void gradient(std::span<const TableView> params, const Batch& batch, float decay, std::span<float> dw, std::span<float> dv) const {
    std::fill(dw.begin(), dw.end(), 0.0F);
    std::fill(dv.begin(), dv.end(), 0.0F);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const std::uint64_t first = batch.offsets[i], end = batch.offsets[i + 1];
      for (std::uint64_t e = first; e < end; ++e) {
        const std::size_t at = std::size_t{rows_[e]} * rank_;
        dw[rows_[e]] += outputs_[i] + decay * params[0].values[rows_[e]];
        for (std::size_t f = 0; f < rank_; ++f) dv[at + f] += decay * params[1].values[at + f];
        if (end - first < 2) continue;
        const auto other = factors(params[1].values, e == first ? first + 1 : first);
        for (std::size_t f = 0; f < rank_; ++f) dv[at + f] += outputs_[i] * other[f];
      }
    }
  }

  const std::uint64_t features_;
  const std::uint32_t rank_;
  const float l2_, init_;
  // Scratch: keeps its memory between batches, never its content.
  std::vector<float> outputs_;
  std::vector<std::uint32_t> rows_;
  mutable SparseRows sparse_;
  mutable KeyIndex seen_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_mf(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("mf", params, {"rank", "l2", "init"});
  if (!read) return fail(read.error());
  const auto rank = read->whole("rank", 8, 1, 256);
  if (!rank) return fail(rank.error());
  const auto l2 = read->number("l2", 0, 0, 1);
  if (!l2) return fail(l2.error());
  const auto init = read->number("init", 0.1, 0, 1);
  if (!init) return fail(init.error());
  if (shape.classes != 0)
    return fail(Errc::kBadConfig,
                "model 'mf' learns numbers, but the labels of this data are classes; if they are numbers, say labels: targets under the dataset");
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'mf' needs data with at least one feature");
  if (shape.features > proto::kTableFloatsMax / *rank)
    return fail(Errc::kBadConfig,
                fmt::format("model 'mf': {} users and items of {} floats each are more than a table may have; take a lower rank", shape.features, *rank));
  return std::make_unique<MatrixFactorization>(shape, MatrixFactorization::Settings{*rank, static_cast<float>(*l2), static_cast<float>(*init)});
}

}  // namespace sluice::worker::models
