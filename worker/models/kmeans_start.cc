#include "worker/models/kmeans_start.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::worker::models {
namespace {

constexpr int kStarts = 8;
constexpr int kRounds = 20;       // of Lloyd's algorithm on the sample
constexpr double kWorkMax = 4e9;  // multiplications in all: fewer starts and rounds on large samples

double between(std::span<const float> a, std::span<const float> b) {
  constexpr std::size_t kLanes = 8;  // sums side by side, which the compiler makes one vector
  const float *x = a.data(), *y = b.data();
  float sums[kLanes] = {};
  std::size_t f = 0;
  for (; f + kLanes <= a.size(); f += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += (x[f + lane] - y[f + lane]) * (x[f + lane] - y[f + lane]);
  }
  for (; f < a.size(); ++f) sums[0] += (x[f] - y[f]) * (x[f] - y[f]);
  double sum = 0;
  for (const float part : sums) sum += static_cast<double>(part);
  return sum;
}

/// Arthur, Vassilvitskii, SODA 2007: each next centroid is a row, drawn by its weighted squared distance to the nearest one before.
std::vector<float> plus_plus_start(const WeightedRows& rows, std::size_t k, SeededRng& rng) {
  std::vector<float> out;
  std::vector<double> nearest(rows.size(), 1);  // the first one: by weight alone
  for (std::size_t c = 0; c < k; ++c) {
    double sum = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) sum += rows.weights[i] * nearest[i];
    double left = rng.uniform() * sum;
    std::size_t at = rows.size() - 1;
    for (std::size_t i = 0; i < rows.size() && sum > 0; ++i) {
      if ((left -= rows.weights[i] * nearest[i]) >= 0) continue;
      at = i;
      break;
    }
    const auto chosen = rows.row(at);
    out.insert(out.end(), chosen.begin(), chosen.end());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double distance = between(rows.row(i), chosen);
      nearest[i] = c == 0 ? distance : std::min(nearest[i], distance);
    }
  }
  return out;
}

/// One round; the inertia of `centroids` as they were. A cluster without rows stays where it is.
double lloyd(const WeightedRows& rows, std::vector<float>& centroids, std::size_t k, std::vector<double>& sums, std::vector<double>& counts) {
  const std::size_t features = rows.features;
  sums.assign(k * features, 0), counts.assign(k, 0);
  double inertia = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto row = rows.row(i);
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < k; ++c) {
      const double distance = between(row, std::span(centroids).subspan(c * features, features));
      if (distance < least) least = distance, best = c;
    }
    inertia += rows.weights[i] * least;
    counts[best] += rows.weights[i];
    for (std::size_t f = 0; f < features; ++f) sums[best * features + f] += rows.weights[i] * static_cast<double>(row[f]);
  }
  for (std::size_t c = 0; c < k; ++c) {
    for (std::size_t f = 0; counts[c] > 0 && f < features; ++f) centroids[c * features + f] = static_cast<float>(sums[c * features + f] / counts[c]);
  }
  return inertia;
}

std::vector<float> random_rows(const WeightedRows& rows, std::size_t k, SeededRng& rng) {
  std::vector<std::size_t> order(rows.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<float> out;
  for (std::size_t c = 0; c < k; ++c) {
    const std::size_t drawn = c % order.size();
    std::swap(order[drawn], order[drawn + rng.below(order.size() - drawn)]);
    const auto row = rows.row(order[drawn]);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

}  // namespace

std::vector<float> first_centroids(const WeightedRows& rows, std::size_t k, bool plus_plus, std::uint64_t seed) {
  SLUICE_ASSERT(rows.size() > 0 && k > 0);
  SeededRng rng(seed);
  if (!plus_plus) return random_rows(rows, k, rng);
  const double round = static_cast<double>(rows.size()) * static_cast<double>(k) * static_cast<double>(rows.features);
  const int rounds = static_cast<int>(std::clamp(kWorkMax / round - 1, 1.0, static_cast<double>(kRounds)));
  const int starts = static_cast<int>(std::clamp(kWorkMax / (round * (rounds + 1)), 1.0, static_cast<double>(kStarts)));
  std::vector<float> best;
  double least = std::numeric_limits<double>::infinity();
  std::vector<double> sums, counts;
  for (int s = 0; s < starts; ++s) {
    auto centroids = plus_plus_start(rows, k, rng);
    double inertia = 0;
    for (int r = 0; r < rounds; ++r) inertia = lloyd(rows, centroids, k, sums, counts);
    if (inertia < least || best.empty()) least = inertia, best = std::move(centroids);
  }
  return best;
}

}  // namespace sluice::worker::models
