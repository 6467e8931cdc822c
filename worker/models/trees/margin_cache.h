#pragma once
/// What the first trees give to rows seen before, so that a row walks only the trees that are new since: a pass costs rows × new trees, not rows × all trees.
/// Sound because a prediction is a function of the row's features and the trees: an entry is found by a 128-bit hash of the row (two rows of 2^32 share one
/// with probability 2^-65), and holds the very sums, in the same order, that walking all trees would give. The owner clears it when trees change that it has
/// counted.

#include <cstdint>
#include <span>
#include <vector>

#include "worker/model.h"

namespace sluice::worker::models::trees {

struct RowHash {
  std::uint64_t low = 0, high = 0;
  friend bool operator==(const RowHash&, const RowHash&) = default;
};
/// Of row i's features: dense bytes, or entries.
[[nodiscard]] RowHash hash_row(const Batch& batch, std::uint32_t i);

class MarginCache {
 public:
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;
  /// Room for twice `rows` rows, as far as kBytesMax goes; memory is taken at the first entry().
  MarginCache(std::uint64_t rows, std::uint32_t outputs);

  struct Entry {
    std::uint32_t& trees;  ///< how many the margins hold; 0: a new entry, whose margins mean nothing
    std::span<float> margins;
  };
  /// The row's entry; a new one may take the place of another's. Lives until the next call.
  [[nodiscard]] Entry entry(const RowHash& hash);
  void clear();

 private:
  struct Slot {
    RowHash hash;
    std::uint32_t trees = 0;  // 0: free
  };
  std::size_t capacity_ = 0;  // a power of two
  std::uint32_t outputs_;
  std::vector<Slot> slots_;
  std::vector<float> margins_;
};

}  // namespace sluice::worker::models::trees
