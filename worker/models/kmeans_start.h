#pragma once
/// First centroids for k-means, found on a sample that fits into memory. One thread.

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::worker::models {

/// The sample's rows, row-major, and how often each is meant.
struct WeightedRows {
  std::size_t features = 0;
  std::vector<float> values;
  std::vector<double> weights;
  [[nodiscard]] std::size_t size() const { return weights.size(); }
  [[nodiscard]] std::span<const float> row(std::size_t i) const { return std::span(values).subspan(i * features, features); }
};

/// k rows of centroids, row-major. `plus_plus`: k-means++ and Lloyd's algorithm on the sample, some times, the best kept; else k rows drawn at random. Where
/// the sample has fewer than k rows, some come twice. Depends on nothing but its arguments. REQUIRES: at least one row.
[[nodiscard]] std::vector<float> first_centroids(const WeightedRows& rows, std::size_t k, bool plus_plus, std::uint64_t seed);

}  // namespace sluice::worker::models
