#pragma once
/// A batch's rows as compressed sparse rows, whatever the data is.

#include <cstdint>
#include <vector>

#include "worker/model.h"

namespace sluice::worker::models {

class SparseRows {
 public:
  /// Sparse data: the batch itself. Dense data: the entries that are not zero. Lives until the next call, and as long as the batch.
  [[nodiscard]] Batch of(const Batch& batch);

 private:
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint32_t> indices_;
  std::vector<float> values_;
};

}  // namespace sluice::worker::models
