#include "worker/models/linear.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "worker/kernels.h"
#include "worker/models/key_index.h"
#include "worker/models/loss.h"
#include "worker/models/params.h"

namespace sluice::worker::models {
namespace {

enum class Link { kSoftmax, kLogistic, kHinge, kSquaredHinge, kSquares };

bool one_output(Link link, std::uint32_t classes) { return link == Link::kLogistic || link == Link::kSquares || (link != Link::kSoftmax && classes == 2); }

class Linear final : public Model {
 public:
  Linear(Link link, const DataShape& shape, float l2)
      : link_(link),
        features_(shape.features),
        classes_(shape.classes),
        outputs_(one_output(link, shape.classes) ? 1 : shape.classes),
        sparse_(shape.sparse),
        l2_(l2) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{.name = "w", .kind = sparse_ ? proto::TableKind::kSparse : proto::TableKind::kDense, .rows = features_, .cols = outputs_, .init = {}},
            {.name = "b", .kind = proto::TableKind::kDense, .rows = 1, .cols = outputs_, .init = {}}};
  }

  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    if (sparse_) seen_.distinct(batch.indices, out[0]);
  }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    logits(params, batch);
    const float scale = 1.0F / static_cast<float>(batch.rows);
    const Losses losses = loss(batch, scale);
    const std::span<float> w = out[0].values;
    SLUICE_ASSERT(w.size() == params[0].values.size() && out[1].values.size() == outputs_);
    if (sparse_) {
      sparse_gradient(params[0].values, batch, scale, w);
    } else {
      if (l2_ > 0) std::copy(params[0].values.begin(), params[0].values.end(), w.begin());
      multiply_at_b({features_, outputs_, batch.rows}, batch.dense, logits_of(batch), w, 1, l2_);
    }
    column_sums(logits_of(batch), out[1].values);
    return losses;
  }

  [[nodiscard]] bool takes_more_rows() const override { return true; }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    logits(params, batch);
    return logits_of(batch);
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    logits(params, batch);
    switch (link_) {
      case Link::kSoftmax:
        return softmax_scores(logits_of(batch), batch.labels, classes_);
      case Link::kLogistic:
        return logistic_scores(logits_of(batch), batch.labels);
      case Link::kSquares:
        return squares_scores(logits_of(batch), batch.labels);
      default:
        return hinge_scores(logits_of(batch), batch.labels, classes_, link_ == Link::kSquaredHinge);
    }
  }

  [[nodiscard]] std::string metric() const override { return link_ == Link::kSquares ? "mse" : "accuracy"; }

 private:
  [[nodiscard]] std::span<float> logits_of(const Batch& batch) { return std::span(logits_).first(std::size_t{batch.rows} * outputs_); }

  /// The logits become the deltas.
  [[nodiscard]] Losses loss(const Batch& batch, float scale) {
    switch (link_) {
      case Link::kSoftmax:
        return softmax_loss(logits_of(batch), batch.labels, classes_, scale);
      case Link::kLogistic:
        return logistic_loss(logits_of(batch), batch.labels, scale);
      case Link::kSquares:
        return squares_loss(logits_of(batch), batch.labels, scale);
      default:
        return hinge_loss(logits_of(batch), batch.labels, classes_, link_ == Link::kSquaredHinge, scale);
    }
  }

  void logits(std::span<const TableView> params, const Batch& batch) {
    SLUICE_ASSERT(params.size() == 2 && params[1].values.size() == outputs_ && batch.labels.size() == batch.rows);
    if (logits_.size() < std::size_t{batch.rows} * outputs_) logits_.resize(std::size_t{batch.rows} * outputs_);
    fill_rows(params[1].values, logits_of(batch));
    if (sparse_) {
      sparse_logits(params[0], batch);
    } else {
      multiply({batch.rows, outputs_, features_}, batch.dense, params[0].values, logits_of(batch), 1, 1);
    }
  }

  void sparse_logits(const TableView& w, const Batch& batch) {
    SLUICE_ASSERT(w.values.size() == w.keys.size() * outputs_ && batch.offsets.size() == batch.rows + std::size_t{1});
    seen_.rows_of(batch.indices, w.keys, rows_, w.keys_number);
    if (outputs_ == 1) return one_logit_each(w.values.data(), batch);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      float* into = logits_.data() + std::size_t{i} * outputs_;
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) {
        const float* from = w.values.data() + std::size_t{rows_[e]} * outputs_;
        const float value = batch.values[e];
        for (std::uint32_t c = 0; c < outputs_; ++c) into[c] += value * from[c];
      }
    }
  }

  void one_logit_each(const float* w, const Batch& batch) {
    const float* values = batch.values.data();
    const std::uint32_t* rows = rows_.data();
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      float sum = logits_[i];
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) sum += values[e] * w[rows[e]];
      logits_[i] = sum;
    }
  }

  void one_gradient_each(const Batch& batch, float* out) const {
    const float* values = batch.values.data();
    const std::uint32_t* rows = rows_.data();
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const float delta = logits_[i];
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) out[rows[e]] += values[e] * delta;
    }
  }

  /// logits_ hold the deltas, rows_ the view's row of each entry.
  void sparse_gradient(std::span<const float> w, const Batch& batch, float scale, std::span<float> out) const {
    std::fill(out.begin(), out.end(), 0.0F);
    const float decay = l2_ * scale;
    if (outputs_ == 1 && decay == 0) return one_gradient_each(batch, out.data());
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const float* delta = logits_.data() + std::size_t{i} * outputs_;
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) {
        const std::size_t at = std::size_t{rows_[e]} * outputs_;
        float* into = out.data() + at;
        const float value = batch.values[e];
        for (std::uint32_t c = 0; c < outputs_; ++c) into[c] += value * delta[c];
        if (decay > 0) {
          for (std::uint32_t c = 0; c < outputs_; ++c) into[c] += decay * w[at + c];
        }
      }
    }
  }

  const Link link_;
  const std::uint64_t features_;
  const std::uint32_t classes_;
  const std::uint32_t outputs_;
  const bool sparse_;
  const float l2_;
  // Scratch: keeps its memory between batches, never its content.
  std::vector<float> logits_;
  std::vector<std::uint32_t> rows_;
  mutable KeyIndex seen_;
};

bool fits(Link link, std::uint32_t classes) {
  if (link == Link::kSquares) return classes == 0;
  return link == Link::kLogistic ? classes == 2 : classes >= 2 && classes <= proto::kTableWidthMax;
}

Result<std::unique_ptr<Model>> make_linear(const std::string& name, Link link, const Result<Params>& read, const DataShape& shape, double l2_otherwise = 0) {
  if (!read) return fail(read.error());
  const auto l2 = read->number("l2", l2_otherwise, 0, 1);
  if (!l2) return fail(l2.error());
  if (!fits(link, shape.classes)) {
    if (link == Link::kSquares)
      return fail(Errc::kBadConfig, fmt::format("model '{}' learns numbers, but the labels of this data are classes; if they are numbers, say labels: targets "
                                                "under the dataset",
                                                name));
    return fail(Errc::kBadConfig,
                fmt::format("model '{}' needs data of {} classes, {}", name, link == Link::kLogistic ? "2" : "2 to 65536", classes_words(shape)));
  }
  if (shape.features == 0) return fail(Errc::kBadConfig, fmt::format("model '{}' needs data with at least one feature", name));
  if (shape.features > proto::kTableFloatsMax / std::max(shape.classes, 1U))
    return fail(Errc::kBadConfig, fmt::format("model '{}': {} features of {} classes are more than a table may have", name, shape.features, shape.classes));
  return std::make_unique<Linear>(link, shape, static_cast<float>(*l2));
}

}  // namespace

Result<std::unique_ptr<Model>> make_softmax(const std::string& params, const DataShape& shape) {
  return make_linear("softmax", Link::kSoftmax, Params::parse("softmax", params, {"l2"}), shape);
}
Result<std::unique_ptr<Model>> make_logistic(const std::string& params, const DataShape& shape) {
  return make_linear("logistic", Link::kLogistic, Params::parse("logistic", params, {"l2"}), shape);
}
Result<std::unique_ptr<Model>> make_least_squares(const std::string& params, const DataShape& shape) {
  return make_linear("linear", Link::kSquares, Params::parse("linear", params, {"l2"}), shape);
}
Result<std::unique_ptr<Model>> make_ridge(const std::string& params, const DataShape& shape) {
  return make_linear("ridge", Link::kSquares, Params::parse("ridge", params, {"l2"}), shape, kRidgeL2);
}
Result<std::unique_ptr<Model>> make_svm(const std::string& params, const DataShape& shape) {
  return make_svm_from("svm", Params::parse("svm", params, {"l2", "loss"}), shape);
}
Result<std::unique_ptr<Model>> make_svm_from(const std::string& name, const Result<Params>& params, const DataShape& shape) {
  if (!params) return fail(params.error());
  const auto loss = params->choice("loss", {"squared-hinge", "hinge"});
  if (!loss) return fail(loss.error());
  return make_linear(name, *loss == "hinge" ? Link::kHinge : Link::kSquaredHinge, params, shape);
}

}  // namespace sluice::worker::models
