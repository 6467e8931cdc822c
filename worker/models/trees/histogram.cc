#include "worker/models/trees/histogram.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "base/assert.h"
#include "worker/models/trees/bins.h"

namespace sluice::worker::models::trees {

std::span<const float> Edges::of(std::size_t feature) const {
  const float* row = table_.data() + feature * width_;
  const auto count = static_cast<double>(row[0]);
  if (!(count >= 0 && count <= static_cast<double>(most_))) throw std::runtime_error(fmt::format("feature {} has {} bin edges", feature, count));
  return {row + 1, static_cast<std::size_t>(count)};
}

void Histogram::bin(const Batch& batch, std::uint32_t first, std::uint32_t rows, const Edges& edges) {
  batch_ = batch;
  first_ = first;
  if (!batch.offsets.empty()) {
    const std::uint64_t from = batch.offsets[first], to = batch.offsets[first + rows];
    bins_.resize(to - from);
    for (std::uint64_t e = from; e < to; ++e) bins_[e - from] = static_cast<std::uint8_t>(bin_of(edges.of(batch.indices[e]), batch.values[e]));
    return;
  }
  const std::size_t features = batch.features;
  bins_.resize(rows * features);
  for (std::size_t f = 0; f < features; ++f) {
    const auto of_feature = edges.of(f);
    const float* value = batch.dense.data() + first * features + f;
    std::uint8_t* bin = bins_.data() + f;
    for (std::uint32_t i = 0; i < rows; ++i, value += features, bin += features) *bin = static_cast<std::uint8_t>(bin_of(of_feature, *value));
  }
}

void Histogram::add(std::span<const RowSums> rows, std::size_t bins, std::span<float> into) const {
  const auto put = [&](std::size_t feature, std::uint8_t bin, const RowSums& row) {
    float* at = into.data() + (feature * bins + bin) * 2;
    at[0] += row.g;
    at[1] += row.h;
  };
  if (!batch_.offsets.empty()) {
    const std::uint64_t from = batch_.offsets[first_];
    for (const RowSums& row : rows) {
      const std::uint64_t end = batch_.offsets[first_ + row.row + 1];
      for (std::uint64_t e = batch_.offsets[first_ + row.row]; e < end; ++e) put(batch_.indices[e], bins_[e - from], row);
    }
    return;
  }
  const std::size_t features = batch_.features;
  for (const RowSums& row : rows) {
    const std::uint8_t* bin = bins_.data() + row.row * features;
    for (std::size_t f = 0; f < features; ++f) put(f, bin[f], row);
  }
}

void Histogram::add_zeros(double g, double h, std::size_t bins, const Edges& edges, std::span<float> into) {
  const std::size_t features = into.size() / (bins * 2);
  for (std::size_t f = 0; f < features; ++f) {
    float* of_feature = into.data() + f * bins * 2;
    double others_g = 0, others_h = 0;
    for (std::size_t b = 0; b < bins; ++b) others_g += static_cast<double>(of_feature[2 * b]), others_h += static_cast<double>(of_feature[2 * b + 1]);
    const std::size_t zero = bin_of(edges.of(f), 0);
    of_feature[2 * zero] += static_cast<float>(g - others_g);
    of_feature[2 * zero + 1] += static_cast<float>(h - others_h);
  }
}

}  // namespace sluice::worker::models::trees
