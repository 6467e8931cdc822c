#include "worker/models/factorization.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "worker/models/key_index.h"
#include "worker/models/loss.h"
#include "worker/models/params.h"
#include "worker/models/sparse_rows.h"

namespace sluice::worker::models {
namespace {

class FactorizationMachine final : public Model {
 public:
  struct Settings {
    std::uint32_t rank = 0;
    float l2 = 0, init = 0;
  };
  FactorizationMachine(const DataShape& shape, const Settings& settings)
      : features_(shape.features),
        classes_(shape.classes),
        outputs_(shape.classes == 2 ? 1 : shape.classes),
        rank_(settings.rank),
        factors_(outputs_ * rank_),
        l2_(settings.l2),
        init_(settings.init) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{.name = "w", .kind = proto::TableKind::kSparse, .rows = features_, .cols = outputs_, .init = {}},
            {.name = "v",
             .kind = proto::TableKind::kSparse,
             .rows = features_,
             .cols = static_cast<std::uint32_t>(factors_),
             .init = {proto::InitKind::kNormal, init_}},
            {.name = "b", .kind = proto::TableKind::kDense, .rows = 1, .cols = outputs_, .init = {}}};
  }

  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    seen_.distinct(sparse_.of(batch).indices, out[0]);
    out[1] = out[0];
  }

  Losses update(std::span<const TableView> params, const Batch& given, std::span<const TableUpdate> out) override {
    const Batch batch = sparse_.of(given);
    forward(params, batch);
    const float scale = 1.0F / static_cast<float>(batch.rows);
    const std::span<float> z = outputs_of(batch);
    const Losses losses = outputs_ == 1 ? logistic_loss(z, batch.labels, scale) : softmax_loss(z, batch.labels, classes_, scale);
    gradient(params, batch, scale * l2_, out[0].values, out[1].values);
    column_sums(z, out[2].values);
    return losses;
  }

  [[nodiscard]] bool takes_more_rows() const override { return true; }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& given) override {
    const Batch batch = sparse_.of(given);
    forward(params, batch);
    return outputs_of(batch);
  }

  Scores evaluate(std::span<const TableView> params, const Batch& given) override {
    const Batch batch = sparse_.of(given);
    forward(params, batch);
    return outputs_ == 1 ? logistic_scores(outputs_of(batch), batch.labels) : softmax_scores(outputs_of(batch), batch.labels, classes_);
  }

 private:
  [[nodiscard]] std::span<float> outputs_of(const Batch& batch) { return std::span(z_).first(std::size_t{batch.rows} * outputs_); }

  /// Fills z_, sums_ (each row's Σ_i v_i x_i) and rows_ (the views' row of each entry).
  void forward(std::span<const TableView> params, const Batch& batch) {
    const TableView &w = params[0], &v = params[1];
    SLUICE_ASSERT(w.keys.size() == v.keys.size() && w.values.size() == w.keys.size() * outputs_ && v.values.size() == v.keys.size() * factors_);
    SLUICE_ASSERT(params[2].values.size() == outputs_ && batch.labels.size() == batch.rows);
    seen_.rows_of(batch.indices, w.keys, rows_, w.keys_number);
    z_.resize(std::max(z_.size(), std::size_t{batch.rows} * outputs_));
    sums_.assign(std::size_t{batch.rows} * factors_, 0);
    fill_rows(params[2].values, outputs_of(batch));
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      float* z = z_.data() + std::size_t{i} * outputs_;
      float* sum = sums_.data() + i * factors_;
      squares_.assign(factors_, 0);
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) {
        const float x = batch.values[e];
        const float* wi = w.values.data() + std::size_t{rows_[e]} * outputs_;
        const float* vi = v.values.data() + rows_[e] * factors_;
        for (std::uint32_t o = 0; o < outputs_; ++o) z[o] += x * wi[o];
        for (std::size_t f = 0; f < factors_; ++f) {
          const float t = x * vi[f];
          sum[f] += t;
          squares_[f] += t * t;
        }
      }
      for (std::uint32_t o = 0; o < outputs_; ++o) {
        for (std::size_t f = o * rank_; f < (o + 1) * rank_; ++f) z[o] += 0.5F * (sum[f] * sum[f] - squares_[f]);
      }
    }
  }

  /// z_ hold the deltas. With t = x_i v_if the slope of z in v_if is x_i (Σ_j v_jf x_j − t).
  void gradient(std::span<const TableView> params, const Batch& batch, float decay, std::span<float> dw, std::span<float> dv) const {
    std::fill(dw.begin(), dw.end(), 0.0F);
    std::fill(dv.begin(), dv.end(), 0.0F);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const float* delta = z_.data() + std::size_t{i} * outputs_;
      const float* sum = sums_.data() + i * factors_;
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) {
        const float x = batch.values[e];
        const std::size_t at_w = std::size_t{rows_[e]} * outputs_, at_v = rows_[e] * factors_;
        for (std::uint32_t o = 0; o < outputs_; ++o) {
          const float slope = delta[o] * x;
          dw[at_w + o] += slope + decay * params[0].values[at_w + o];
          for (std::size_t f = o * rank_; f < (o + 1) * rank_; ++f) {
            const float v = params[1].values[at_v + f];
            dv[at_v + f] += slope * (sum[f] - x * v) + decay * v;
          }
        }
      }
    }
  }

  const std::uint64_t features_;
  const std::uint32_t classes_, outputs_;
  const std::size_t rank_;
  const std::size_t factors_;  ///< floats of a row of v
  const float l2_, init_;
  // Scratch: keeps its memory between batches, never its content.
  std::vector<float> z_, sums_, squares_;
  std::vector<std::uint32_t> rows_;
  mutable SparseRows sparse_;
  mutable KeyIndex seen_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_fm(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("fm", params, {"rank", "l2", "init"});
  if (!read) return fail(read.error());
  const auto rank = read->whole("rank", 8, 1, 256);
  if (!rank) return fail(rank.error());
  const auto l2 = read->number("l2", 0, 0, 1);
  if (!l2) return fail(l2.error());
  const auto init = read->number("init", 0.05, 0, 1);
  if (!init) return fail(init.error());
  const std::uint32_t most = proto::kTableWidthMax / *rank;
  if (shape.classes < 2 || shape.classes > most)
    return fail(Errc::kBadConfig, fmt::format("model 'fm' of rank {} needs data of 2 to {} classes, {}", *rank, most, classes_words(shape)));
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'fm' needs data with at least one feature");
  const std::uint64_t width = std::uint64_t{shape.classes == 2 ? 1 : shape.classes} * *rank;
  if (shape.features > proto::kTableFloatsMax / width)
    return fail(Errc::kBadConfig,
                fmt::format("model 'fm': {} features of {} floats each are more than a table may have; take a lower rank", shape.features, width));
  return std::make_unique<FactorizationMachine>(shape, FactorizationMachine::Settings{*rank, static_cast<float>(*l2), static_cast<float>(*init)});
}

}  // namespace sluice::worker::models
