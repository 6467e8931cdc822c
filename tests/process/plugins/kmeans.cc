// k-means with as little as it takes: a model with phases. The first pass finds the classes' means, from which Lloyd's algorithm begins. It keeps the inertia
// of each pass in a table that has a row for each: so it must be told the job's epochs.
#include <sluice/model.h>

namespace {
using namespace sluice::plugin;

enum { kCentroids, kPasses, kInertias, kSums, kTables };

class KMeans final : public Model {
 public:
  KMeans(const Params& params, const DataShape& shape) : k_(params.whole("k", 4, 1, 1000)), features_(shape.features), epochs_(shape.epochs) {
    if (shape.sparse || shape.classes == 0) throw BadParams("model 'k-means' begins at the means of classes, of dense rows");
  }
  std::vector<Table> tables() const override {
    const auto width = static_cast<std::uint32_t>(features_ + 2);  // sums of a cluster's rows, their number, their squared distances
    return {{.name = "centroids", .rows = k_, .cols = static_cast<std::uint32_t>(features_), .use = Use::kState},
            {.name = "passes", .rows = 1, .cols = 1, .use = Use::kState},
            {.name = "inertias", .rows = epochs_ + 1U, .cols = 1, .use = Use::kState},
            {.name = "sums", .rows = k_, .cols = width, .use = Use::kStatistics}};
  }
  UpdateKind update_kind() const override { return UpdateKind::kStatistics; }
  std::uint32_t phases(std::uint32_t epochs) const override { return epochs + 1; }
  bool predicts_labels() const override { return false; }
  std::string metric() const override { return "inertia"; }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    const std::span<float> sums = out[kSums].values;
    std::fill(sums.begin(), sums.end(), 0.0F);
    const bool first = params[kPasses].values[0] == 0;
    Losses losses;
    for (std::size_t i = 0; i < batch.rows; ++i) {
      const auto row = batch.dense.subspan(i * features_, features_);
      double distance = 0;
      std::size_t to = nearest(params[kCentroids].values, row, distance);
      if (first) to = static_cast<std::size_t>(batch.labels[i]) % k_;
      float* sum = sums.data() + to * (features_ + 2);
      for (std::size_t f = 0; f < features_; ++f) sum[f] += row[f];
      sum[features_] += 1;
      sum[features_ + 1] += static_cast<float>(distance);
      losses.loss_sum += distance;
      losses.loss_squares += distance * distance;
    }
    return losses;
  }

  PhaseEnd finish_phase(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) override {
    for (const auto& update : out) std::fill(update.values.begin(), update.values.end(), 0.0F);
    const auto sums = tables[kSums].values;
    double inertia = 0, farthest = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      const float* sum = sums.data() + c * (features_ + 2);
      inertia += static_cast<double>(sum[features_ + 1]);
      if (sum[features_] == 0) continue;
      double moved = 0;
      for (std::size_t f = 0; f < features_; ++f) {
        const float by = sum[f] / sum[features_] - tables[kCentroids].values[c * features_ + f];
        out[kCentroids].values[c * features_ + f] = by;
        moved += static_cast<double>(by) * static_cast<double>(by);
      }
      farthest = std::max(farthest, moved);
    }
    for (std::size_t i = 0; i < sums.size(); ++i) out[kSums].values[i] = -sums[i];
    out[kPasses].values[0] = 1;
    out[kInertias].values[phase] = static_cast<float>(inertia);
    if (phase > 0 && farthest < 1e-8) return {true, "no centroid moved in pass " + std::to_string(phase)};
    return {};
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    outputs_.resize(batch.rows * k_);
    for (std::size_t i = 0; i < batch.rows; ++i) {
      for (std::size_t c = 0; c < k_; ++c)
        outputs_[i * k_ + c] = -static_cast<float>(squared(params[kCentroids].values, c, batch.dense.subspan(i * features_, features_)));
    }
    return outputs_;
  }
  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    Scores scores{.examples = batch.rows};
    for (std::size_t i = 0; i < batch.rows; ++i) {
      double distance = 0;
      (void)nearest(params[kCentroids].values, batch.dense.subspan(i * features_, features_), distance);
      scores.loss_sum += distance;
    }
    scores.metric_sum = scores.loss_sum;
    return scores;
  }

 private:
  double squared(std::span<const float> centroids, std::size_t c, std::span<const float> row) const {
    double sum = 0;
    for (std::size_t f = 0; f < features_; ++f) {
      const double by = static_cast<double>(row[f]) - static_cast<double>(centroids[c * features_ + f]);
      sum += by * by;
    }
    return sum;
  }
  std::size_t nearest(std::span<const float> centroids, std::span<const float> row, double& distance) const {
    std::size_t best = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      const double here = squared(centroids, c, row);
      if (c == 0 || here < distance) best = c, distance = here;
    }
    return best;
  }

  const std::uint32_t k_;
  const std::uint64_t features_;
  const std::uint32_t epochs_;
  std::vector<float> outputs_;
};

}  // namespace

SLUICE_PLUGIN(KMeans, "k-means", "1");
