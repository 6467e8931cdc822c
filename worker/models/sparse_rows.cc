#include "worker/models/sparse_rows.h"

namespace sluice::worker::models {

Batch SparseRows::of(const Batch& batch) {
  if (!batch.offsets.empty()) return batch;
  offsets_.assign(1, 0);
  indices_.clear();
  values_.clear();
  for (std::uint32_t i = 0; i < batch.rows; ++i) {
    const float* row = batch.dense.data() + i * batch.features;
    for (std::uint64_t f = 0; f < batch.features; ++f) {
      if (row[f] == 0) continue;
      indices_.push_back(static_cast<std::uint32_t>(f));
      values_.push_back(row[f]);
    }
    offsets_.push_back(indices_.size());
  }
  Batch out = batch;
  out.dense = {};
  out.offsets = offsets_;
  out.indices = indices_;
  out.values = values_;
  return out;
}

}  // namespace sluice::worker::models
