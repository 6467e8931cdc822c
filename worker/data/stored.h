#pragma once
/// A dataset in memory that is somebody else's: the mapped cache, or a test's vectors.

#include <memory>
#include <span>

#include "worker/data/dataset.h"

namespace sluice::worker::data {

/// Exactly one of the three is filled: CSR, bytes (read as byte / 255), or floats.
struct StoredRows {
  std::span<const float> labels;           ///< rows: class numbers or targets
  std::span<const std::uint64_t> offsets;  ///< sparse: rows + 1
  std::span<const std::uint32_t> indices;
  std::span<const float> values;
  std::span<const std::uint8_t> pixels;  ///< dense: rows × features
  std::span<const float> dense;          ///< dense: rows × features
};

class StoredDataset final : public Dataset {
 public:
  /// `owner` keeps the spans' memory alive.
  StoredDataset(const DataShape& shape, const StoredRows& rows, std::uint64_t content_hash, std::shared_ptr<const void> owner)
      : shape_(shape), rows_(rows), content_hash_(content_hash), owner_(std::move(owner)) {}
  [[nodiscard]] const DataShape& shape() const override { return shape_; }
  [[nodiscard]] std::uint64_t content_hash() const override { return content_hash_; }
  [[nodiscard]] const StoredRows& rows() const { return rows_; }

 private:
  DataShape shape_;
  StoredRows rows_;
  std::uint64_t content_hash_;
  std::shared_ptr<const void> owner_;
};

}  // namespace sluice::worker::data
