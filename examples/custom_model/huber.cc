// Robust regression: a linear model under Huber's loss, which grows like a square near the target and like a line far from it, so that a few wild targets do
// not pull the rest along (Huber, 1964). On dense rows, and on sparse ones: there only the rows of `w` that a batch has features of are fetched and changed.
//
// params: delta (where the line begins, 1), l2 (0).
#include <sluice/model.h>

namespace {
using namespace sluice::plugin;

class Huber final : public Model {
 public:
  Huber(const Params& params, const DataShape& shape)
      : features_(shape.features),
        sparse_(shape.sparse),
        delta_(static_cast<float>(params.number("delta", 1, 1e-6, 1e6))),
        l2_(static_cast<float>(params.number("l2", 0, 0, 1))) {
    if (shape.classes != 0) throw BadParams("model 'huber' learns numbers, but the labels of this data are classes; if they are numbers, say labels: targets");
  }

  std::vector<Table> tables() const override {
    return {{.name = "w", .kind = sparse_ ? Kind::kSparse : Kind::kDense, .rows = features_, .cols = 1}, {.name = "b", .rows = 1, .cols = 1}};
  }

  // The features that the batch has, sorted, each once.
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    if (!sparse_) return;
    out[0].assign(batch.indices.begin(), batch.indices.end());
    std::sort(out[0].begin(), out[0].end());
    out[0].erase(std::unique(out[0].begin(), out[0].end()), out[0].end());
  }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    outputs(params, batch);
    const std::span<float> w = out[0].values;
    const float share = 1.0F / static_cast<float>(batch.rows);
    for (std::size_t f = 0; f < w.size(); ++f) w[f] = sparse_ ? 0 : l2_ * params[0].values[f];
    float b = 0;
    Losses losses;
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const float off = outputs_[i] - batch.labels[i];
      const float slope = std::clamp(off, -delta_, delta_) * share;
      const double loss = loss_of(off);
      losses.loss_sum += loss;
      losses.loss_squares += loss * loss;
      b += slope;
      if (sparse_) {
        for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) w[row_[e]] += slope * batch.values[e] + l2_ * share * params[0].values[row_[e]];
      } else {
        const float* x = batch.dense.data() + i * features_;
        for (std::size_t f = 0; f < features_; ++f) w[f] += slope * x[f];
      }
    }
    out[1].values[0] = b;
    return losses;
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    outputs_.assign(batch.rows, params[1].values[0]);
    const std::span<const float> w = params[0].values;
    if (sparse_) find_rows(params[0].keys, batch);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      if (sparse_) {
        for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) outputs_[i] += batch.values[e] * w[row_[e]];
      } else {
        const float* x = batch.dense.data() + i * features_;
        for (std::size_t f = 0; f < features_; ++f) outputs_[i] += x[f] * w[f];
      }
    }
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    outputs(params, batch);
    Scores scores{.examples = batch.rows};
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const float off = outputs_[i] - batch.labels[i];
      scores.loss_sum += loss_of(off);
      scores.metric_sum += static_cast<double>(off) * static_cast<double>(off);
    }
    return scores;
  }
  std::string metric() const override { return "mse"; }

 private:
  double loss_of(float off) const {
    const double size = std::abs(static_cast<double>(off)), delta = static_cast<double>(delta_);
    return size <= delta ? 0.5 * size * size : delta * (size - 0.5 * delta);
  }
  // row_: of each entry of the batch, which row of the view its feature is.
  void find_rows(std::span<const Key> keys, const Batch& batch) {
    row_.resize(batch.indices.size());
    for (std::size_t e = 0; e < row_.size(); ++e)
      row_[e] = static_cast<std::size_t>(std::lower_bound(keys.begin(), keys.end(), Key{batch.indices[e]}) - keys.begin());
  }

  const std::size_t features_;
  const bool sparse_;
  const float delta_, l2_;
  // Scratch: keeps its memory from batch to batch, never its content.
  std::vector<float> outputs_;
  std::vector<std::size_t> row_;
};

}  // namespace

SLUICE_PLUGIN(Huber, "huber", "1.0");
