#include "worker/models/kmeans.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/rng.h"
#include "worker/kernels.h"
#include "worker/models/kmeans_start.h"
#include "worker/models/params.h"

namespace sluice::worker::models {
namespace {

enum Table : std::size_t { kCentroids, kProgress, kSeed, kSums, kCounts, kSample, kSampled };

constexpr std::uint64_t kSampleFloats = std::uint64_t{1} << 22;  // of the sample, unless k needs more
constexpr std::uint64_t kFloatsMax = std::uint64_t{1} << 24;     // of a table that every batch pushes whole

std::uint64_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

class KMeans final : public Model {
 public:
  struct Options {
    std::uint32_t k = 8;
    double tol = 1e-3;
    bool plus_plus = true;
  };
  KMeans(const Options& options, const DataShape& shape, std::uint64_t places)
      : k_(options.k),
        features_(shape.features),
        places_(places),
        tol_(options.tol),
        plus_plus_(options.plus_plus),
        share_(std::min(1.0, static_cast<double>(places) / static_cast<double>(std::max<std::uint64_t>(shape.rows, 1)))) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    const auto k = static_cast<std::uint32_t>(k_), features = static_cast<std::uint32_t>(features_);
    const auto dense = [](const char* name, std::uint64_t rows, std::uint32_t cols, TableUse use, proto::InitSpec init = {}) {
      return TableDecl{name, proto::TableKind::kDense, rows, cols, init, use};
    };
    return {dense("centroids", features_, k, TableUse::kState),
            dense("progress", 1, 1, TableUse::kState),
            dense("seed", 1, 1, TableUse::kState, {proto::InitKind::kUniform, 1}),
            dense("sums", features_, k, TableUse::kStatistics),
            dense("counts", k_, 2, TableUse::kStatistics),
            dense("sample", places_, features, TableUse::kStatistics),
            dense("sampled", places_, 2, TableUse::kStatistics)};
  }
  void keys(const Batch&, std::vector<std::vector<Key>>&) const override {}
  [[nodiscard]] UpdateKind update_kind() const override { return UpdateKind::kStatistics; }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override { return epochs + 1; }
  [[nodiscard]] bool predicts_labels() const override { return false; }
  [[nodiscard]] std::string metric() const override { return "inertia"; }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    for (const std::size_t table : {kSums, kCounts, kSample, kSampled}) std::fill(out[table].values.begin(), out[table].values.end(), 0.0F);
    const bool first = params[kProgress].values[0] == 0;
    return first ? sample(params, batch, out) : assign(params, batch, out);
  }

  PhaseEnd finish_phase(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) override {
    for (std::size_t t = 0; t < out.size(); ++t) {
      const bool statistics = t >= kSums;  // begin the next pass at 0
      for (std::size_t i = 0; i < out[t].values.size(); ++i) out[t].values[i] = statistics ? -tables[t].values[i] : 0;
    }
    out[kProgress].values[0] = 1;
    if (phase > 0) return move(tables, phase, out);
    start(tables, out);
    return {};
  }

  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    distances(params[kCentroids].values, batch);
    for (float& d : distances_) d = -std::max(d, 0.0F);
    return distances_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    Scores scores{.examples = batch.rows};
    nearest(params, batch);
    for (const double d : least_) scores.loss_sum += d;
    scores.metric_sum = scores.loss_sum;
    return scores;
  }

 private:
  /// Calls visit(feature, value) for the row's values that need not be 0.
  template <class F>
  void each(const Batch& batch, std::uint32_t row, F visit) const {
    if (batch.offsets.empty()) {
      const float* values = batch.dense.data() + row * features_;
      for (std::size_t f = 0; f < features_; ++f) visit(f, values[f]);
    } else {
      for (std::uint64_t e = batch.offsets[row]; e < batch.offsets[row + 1]; ++e) visit(std::size_t{batch.indices[e]}, batch.values[e]);
    }
  }
  static double square(float value) { return static_cast<double>(value) * static_cast<double>(value); }

  /// distances_: rows × k, squared, |x|² − 2 x·c + |c|² in floats; norms_: each row's |x|².
  void distances(std::span<const float> centroids, const Batch& batch) {
    distances_.resize(batch.rows * k_);
    norms_.assign(batch.rows, 0);
    centroid_norms_.assign(k_, 0);
    for (std::size_t f = 0; f < features_; ++f) {
      for (std::size_t c = 0; c < k_; ++c) centroid_norms_[c] += square(centroids[f * k_ + c]);
    }
    for (std::uint32_t i = 0; i < batch.rows; ++i) each(batch, i, [&](std::size_t, float v) { norms_[i] += square(v); });
    if (batch.offsets.empty()) {
      multiply({batch.rows, k_, features_}, batch.dense, centroids, distances_, -2);
    } else {
      std::fill(distances_.begin(), distances_.end(), 0.0F);
      for (std::uint32_t i = 0; i < batch.rows; ++i) {
        float* row = distances_.data() + i * k_;
        each(batch, i, [&](std::size_t f, float v) {
          const float* from = centroids.data() + f * k_;
          for (std::size_t c = 0; c < k_; ++c) row[c] -= 2 * v * from[c];
        });
      }
    }
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      for (std::size_t c = 0; c < k_; ++c) distances_[i * k_ + c] += static_cast<float>(norms_[i] + centroid_norms_[c]);
    }
  }

  /// clusters_: each row's nearest centroid (the first of equals); least_: the squared distance to it, from the differences, so that nothing cancels.
  void nearest(std::span<const TableView> params, const Batch& batch) {
    const auto centroids = params[kCentroids].values;
    distances(centroids, batch);
    bool sound = std::isfinite(params[kProgress].values[0] + params[kSeed].values[0]);  // a NaN is near to nothing: it must show in the loss
    for (const double norm : centroid_norms_) sound = sound && std::isfinite(norm);
    clusters_.resize(batch.rows), least_.resize(batch.rows);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const float* row = distances_.data() + i * k_;
      const auto best = static_cast<std::size_t>(std::min_element(row, row + k_) - row);
      clusters_[i] = best;
      double sum = batch.offsets.empty() ? 0 : centroid_norms_[best];
      each(batch, i, [&](std::size_t f, float v) {
        const float c = centroids[f * k_ + best];
        sum += square(v - c) - (batch.offsets.empty() ? 0 : square(c));
      });
      least_[i] = sound ? std::max(sum, 0.0) : std::numeric_limits<double>::quiet_NaN();
    }
  }

  Losses assign(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) {
    const auto centroids = params[kCentroids].values;
    nearest(params, batch);
    Losses losses;
    sums_.assign(k_ * features_, 0), counts_.assign(k_, 0);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const std::size_t cluster = clusters_[i];
      double* to = sums_.data() + cluster * features_;
      each(batch, i, [&](std::size_t f, float v) { to[f] += static_cast<double>(v); });
      counts_[cluster] += 1;
      out[kCounts].values[2 * cluster + 1] += static_cast<float>(least_[i]);
      losses.loss_sum += least_[i], losses.loss_squares += least_[i] * least_[i];
    }
    for (std::size_t c = 0; c < k_; ++c) {
      if (counts_[c] == 0) continue;
      out[kCounts].values[2 * c] = static_cast<float>(counts_[c]);
      for (std::size_t f = 0; f < features_; ++f)
        out[kSums].values[f * k_ + c] = static_cast<float>(sums_[c * features_ + f] - counts_[c] * static_cast<double>(centroids[f * k_ + c]));
    }
    return losses;
  }

  Losses sample(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) {
    const std::uint64_t seed = bits_of(params[kSeed].values[0]);
    Losses losses;
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      double norm = params[kCentroids].values[0] * 0 + params[kSeed].values[0] * 0;  // a NaN of theirs shows
      std::uint64_t hash = seed;
      each(batch, i, [&](std::size_t f, float v) {
        norm += square(v);
        if (v != 0) hash = mix64(hash, bits_of(v) << 32 | f);
      });
      losses.loss_sum += norm, losses.loss_squares += norm * norm;
      if (unit_double(mix64(hash, 1)) >= share_) continue;
      const std::uint64_t place = mix64(hash, 2) % places_;
      each(batch, i, [&](std::size_t f, float v) { out[kSample].values[place * features_ + f] += v; });
      out[kSampled].values[2 * place] += 1;
      out[kSampled].values[2 * place + 1] += static_cast<float>(norm);
    }
    return losses;
  }

  /// The places where all rows are equal; where there are none, the means of what is in each.
  [[nodiscard]] WeightedRows drawn(std::span<const TableView> tables, bool mixed) const {
    constexpr double kEqual = 1e-5;
    WeightedRows rows{.features = features_, .values = {}, .weights = {}};
    for (std::size_t p = 0; p < places_; ++p) {
      const double count = static_cast<double>(tables[kSampled].values[2 * p]), norms = static_cast<double>(tables[kSampled].values[2 * p + 1]);
      if (count < 0.5) continue;
      const auto sum = tables[kSample].values.subspan(p * features_, features_);
      double norm = 0;
      for (const float v : sum) norm += square(v);
      if (!mixed && norms - norm / count > kEqual * norms) continue;
      rows.weights.push_back(count);
      for (const float v : sum) rows.values.push_back(static_cast<float>(static_cast<double>(v) / count));
    }
    return rows;
  }

  void start(std::span<const TableView> tables, std::span<const TableUpdate> out) const {
    auto rows = drawn(tables, false);
    if (rows.size() < k_) {
      if (auto more = drawn(tables, true); more.size() > rows.size()) rows = std::move(more);
    }
    if (rows.size() == 0) rows = {features_, std::vector<float>(features_), {1}};  // no row at all fell into the sample: all from the origin
    const auto centroids = first_centroids(rows, k_, plus_plus_, bits_of(tables[kSeed].values[0]));
    for (std::size_t c = 0; c < k_; ++c) {
      for (std::size_t f = 0; f < features_; ++f) out[kCentroids].values[f * k_ + c] = centroids[c * features_ + f] - tables[kCentroids].values[f * k_ + c];
    }
  }

  PhaseEnd move(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) const {
    const auto counts = tables[kCounts].values;
    double rows = 0, inertia = 0, farthest = 0;
    for (std::size_t c = 0; c < k_; ++c) {
      const double count = static_cast<double>(counts[2 * c]);
      rows += count, inertia += static_cast<double>(counts[2 * c + 1]);
      if (count < 0.5) continue;
      double moved = 0;
      for (std::size_t f = 0; f < features_; ++f) {
        const double by = static_cast<double>(tables[kSums].values[f * k_ + c]) / count;
        out[kCentroids].values[f * k_ + c] = static_cast<float>(by);
        moved += by * by;
      }
      farthest = std::max(farthest, moved);
    }
    const bool split = fill_empty(tables, phase, out);
    const double radius = rows > 0 ? std::sqrt(std::max(inertia, 0.0) / rows) : 0;
    if (split || std::sqrt(farthest) > tol_ * radius) return {};
    return {true, fmt::format("no centroid moved by more than {:g} × the rows' rms distance after {} passes", tol_, phase)};
  }

  /// Gives each cluster without rows half of the one with the largest inertia. Whether there were any that could be filled.
  bool fill_empty(std::span<const TableView> tables, std::uint32_t phase, std::span<const TableUpdate> out) const {
    const auto counts = tables[kCounts].values;
    std::vector<double> left(k_);  // of each one's inertia
    for (std::size_t c = 0; c < k_; ++c) left[c] = static_cast<double>(counts[2 * c + 1]);
    bool any = false;
    for (std::size_t c = 0; c < k_; ++c) {
      if (counts[2 * c] > 0.5F) continue;
      const auto big = static_cast<std::size_t>(std::max_element(left.begin(), left.end()) - left.begin());
      if (left[big] <= 0) break;  // all rows are at centroids
      const double radius = std::sqrt(left[big] / static_cast<double>(counts[2 * big]));
      SeededRng rng(mix64(mix64(bits_of(tables[kSeed].values[0]), phase), c));
      const auto step = static_cast<float>(0.5 * radius / std::sqrt(static_cast<double>(features_)));
      for (std::size_t f = 0; f < features_; ++f) {
        float& whole = out[kCentroids].values[f * k_ + big];
        const float here = rng.below(2) == 0 ? step : -step, at = tables[kCentroids].values[f * k_ + big] + whole;
        out[kCentroids].values[f * k_ + c] = at + here - tables[kCentroids].values[f * k_ + c];
        whole -= here;
      }
      left[big] /= 2;
      any = true;
    }
    return any;
  }

  const std::size_t k_, features_, places_;
  const double tol_;
  const bool plus_plus_;
  const double share_;  ///< of the rows, into the sample
  std::vector<float> distances_;
  std::vector<double> norms_, centroid_norms_, least_, sums_, counts_;
  std::vector<std::size_t> clusters_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_kmeans(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("kmeans", params, {"k", "tol", "init"});
  if (!read) return fail(read.error());
  KMeans::Options options;
  const auto k = read->whole("k", options.k, 1, 1 << 16);
  if (!k) return fail(k.error());
  const auto tol = read->number("tol", options.tol, 0, 1);
  if (!tol) return fail(tol.error());
  const auto init = read->choice("init", {"k-means++", "random"});
  if (!init) return fail(init.error());
  options = {*k, *tol, *init == "k-means++"};
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'kmeans' needs data with at least one feature");
  if (shape.features >= kFloatsMax || shape.features * options.k > kFloatsMax / 8) {
    return fail(Errc::kBadConfig, fmt::format("model 'kmeans' with k {} on {} features has more than the {} floats of centroids that are possible", options.k,
                                              shape.features, kFloatsMax / 8));
  }
  const std::uint64_t needed = std::uint64_t{8} * options.k;  // a third of them is of use
  const std::uint64_t wanted = std::max<std::uint64_t>(1024, std::uint64_t{64} * options.k);
  return std::make_unique<KMeans>(options, shape, std::max(needed, std::min(wanted, kSampleFloats / shape.features)));
}

}  // namespace sluice::worker::models
