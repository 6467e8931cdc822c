#include "worker/models/mlp.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "worker/kernels.h"
#include "worker/models/loss.h"
#include "worker/models/params.h"

namespace sluice::worker::models {
namespace {

enum class Activation { kRelu, kTanh };

class Mlp final : public Model {
 public:
  /// sizes: features, hidden…, classes.
  Mlp(std::vector<std::size_t> sizes, Activation activation, float l2)
      : sizes_(std::move(sizes)), layers_(sizes_.size() - 1), activation_(activation), l2_(l2), outputs_(layers_) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    std::vector<TableDecl> out;
    for (std::size_t l = 0; l < layers_; ++l) {
      const auto inputs = static_cast<float>(sizes_[l]), outputs = static_cast<float>(sizes_[l + 1]);
      const bool he = activation_ == Activation::kRelu && l + 1 < layers_;
      const proto::InitSpec init = he ? proto::InitSpec{proto::InitKind::kNormal, std::sqrt(2.0F / inputs)}
                                      : proto::InitSpec{proto::InitKind::kUniform, std::sqrt(6.0F / (inputs + outputs))};
      const auto cols = static_cast<std::uint32_t>(sizes_[l + 1]);
      out.push_back({.name = fmt::format("w{}", l + 1), .kind = proto::TableKind::kDense, .rows = sizes_[l], .cols = cols, .init = init});
      out.push_back({.name = fmt::format("b{}", l + 1), .kind = proto::TableKind::kDense, .rows = 1, .cols = cols, .init = {}});
    }
    return out;
  }

  void keys(const Batch&, std::vector<std::vector<Key>>&) const override {}

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    forward(params, batch);
    const Losses losses = softmax_loss(output(layers_ - 1, batch), batch.labels, classes(), 1.0F / static_cast<float>(batch.rows));
    std::span<float> delta = output(layers_ - 1, batch);
    for (std::size_t l = layers_; l-- > 0;) {
      const std::span<const float> inputs = l == 0 ? batch.dense : std::span<const float>(output(l - 1, batch));
      const std::span<const float> w = params[2 * l].values;
      const std::span<float> gradient = out[2 * l].values;
      SLUICE_ASSERT(gradient.size() == w.size());
      column_sums(delta, out[2 * l + 1].values);
      if (l2_ > 0) std::copy(w.begin(), w.end(), gradient.begin());
      multiply_at_b({sizes_[l], sizes_[l + 1], batch.rows}, inputs, delta, gradient, 1, l2_);
      if (l == 0) break;
      const std::span<float> before = room(back_[l % 2], batch.rows * sizes_[l]);
      multiply_a_bt({batch.rows, sizes_[l], sizes_[l + 1]}, delta, w, before);
      through_activation(inputs, before);
      delta = before;
    }
    return losses;
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    forward(params, batch);
    return output(layers_ - 1, batch);
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    forward(params, batch);
    return softmax_scores(output(layers_ - 1, batch), batch.labels, classes());
  }

 private:
  [[nodiscard]] std::uint32_t classes() const { return static_cast<std::uint32_t>(sizes_.back()); }
  [[nodiscard]] static std::span<float> room(std::vector<float>& buffer, std::size_t floats) {
    if (buffer.size() < floats) buffer.resize(floats);
    return std::span(buffer).first(floats);
  }
  [[nodiscard]] std::span<float> output(std::size_t layer, const Batch& batch) { return room(outputs_[layer], batch.rows * sizes_[layer + 1]); }

  /// Leaves activations in outputs_[0 … L−2] and logits in outputs_[L−1].
  void forward(std::span<const TableView> params, const Batch& batch) {
    SLUICE_ASSERT(params.size() == 2 * layers_ && batch.features == sizes_[0] && batch.labels.size() == batch.rows);
    std::span<const float> inputs = batch.dense;
    for (std::size_t l = 0; l < layers_; ++l) {
      const std::span<float> into = output(l, batch);
      fill_rows(params[2 * l + 1].values, into);
      multiply({batch.rows, sizes_[l + 1], sizes_[l]}, inputs, params[2 * l].values, into, 1, 1);
      if (l + 1 < layers_) activation_ == Activation::kRelu ? relu_in_place(into) : tanh_in_place(into);
      inputs = into;
    }
  }

  /// delta ·= derivative of the activation, from its output a: relu: a > 0; tanh: 1 − a². NaN stays NaN.
  void through_activation(std::span<const float> activations, std::span<float> delta) const {
    const float* a = activations.data();
    float* d = delta.data();
    if (activation_ == Activation::kRelu) {
      for (std::size_t i = 0; i < delta.size(); ++i) d[i] = a[i] <= 0.0F ? 0.0F : d[i];
    } else {
      for (std::size_t i = 0; i < delta.size(); ++i) d[i] *= 1.0F - a[i] * a[i];
    }
  }

  const std::vector<std::size_t> sizes_;
  const std::size_t layers_;
  const Activation activation_;
  const float l2_;
  // Scratch: keeps its memory between batches, never its content.
  std::vector<std::vector<float>> outputs_;
  std::vector<float> back_[2];
};

}  // namespace

Result<std::unique_ptr<Model>> make_mlp(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("mlp", params, {"hidden", "activation", "l2"});
  if (!read) return fail(read.error());
  const auto hidden = read->sizes("hidden", {128}, proto::kTableWidthMax);
  if (!hidden) return fail(hidden.error());
  const auto activation = read->choice("activation", {"relu", "tanh"});
  if (!activation) return fail(activation.error());
  const auto l2 = read->number("l2", 0, 0, 1);
  if (!l2) return fail(l2.error());
  if (shape.sparse)
    return fail(Errc::kBadConfig, "model 'mlp' needs dense data (format idx); for sparse data there are softmax, logistic, svm, svm-poly and fm");
  if (shape.classes < 2 || shape.classes > proto::kTableWidthMax)
    return fail(Errc::kBadConfig, fmt::format("model 'mlp' needs data of 2 to {} classes, {}", proto::kTableWidthMax, classes_words(shape)));
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'mlp' needs data with at least one feature");
  std::vector<std::size_t> sizes{shape.features};
  sizes.insert(sizes.end(), hidden->begin(), hidden->end());
  sizes.push_back(shape.classes);
  return std::make_unique<Mlp>(std::move(sizes), *activation == "relu" ? Activation::kRelu : Activation::kTanh, static_cast<float>(*l2));
}

}  // namespace sluice::worker::models
