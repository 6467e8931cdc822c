#pragma once
/// Which row of a sparse table's view belongs to a feature: rebuilt for each batch, keeps its memory. Where a batch's features lie close enough, a bit for each
/// feature up to the largest, with the count of those before each word (128 KB for 2^20 features: it stays in a core's cache, needs no sorting, and measured
/// several times faster than hashing); else a small open-addressing table.

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace sluice::worker::models {

class KeyIndex {
 public:
  /// Forgets everything and makes room for `keys` distinct keys. O(room).
  void clear(std::size_t keys);
  /// The number of `key` in order of first sight, from 0. Amortised O(1). REQUIRES: no more distinct keys than clear() made room for.
  std::uint32_t number_of(std::uint32_t key) {
    std::size_t at = (key * 0x9e3779b97f4a7c15ULL) >> shift_;
    while (slots_[at].number != kFree && slots_[at].key != key) at = (at + 1) & mask_;
    if (slots_[at].number == kFree) slots_[at] = {key, count_++};
    return slots_[at].number;
  }
  /// True at the first sight of `key`. REQUIRES as number_of.
  bool add(std::uint32_t key) {
    const std::uint32_t before = count_;
    return number_of(key) == before;
  }

  /// Fills `keys`, empty before, with the distinct ones of a batch's `indices`, sorted: what a sparse table is asked for.
  void distinct(std::span<const std::uint32_t> indices, std::vector<Key>& keys);
  /// rows[e] = the row of a view of `keys` that indices[e] belongs to. number: TableView::keys_number: what was built for these keys is used again. REQUIRES:
  /// each of `indices` is among `keys`, which are sorted and distinct.
  void rows_of(std::span<const std::uint32_t> indices, std::span<const Key> keys, std::vector<std::uint32_t>& rows, std::uint64_t number = 0);

 private:
  static constexpr std::uint32_t kFree = 0xffffffff;
  static constexpr std::size_t kWordBits = 64;
  struct Word {
    std::uint64_t bits = 0;
    std::uint64_t before = 0;  ///< keys of earlier words
  };
  /// Makes the words, or else the slots, for these keys. indices: of the batch that wants them.
  void build(std::span<const Key> keys, std::size_t indices);
  /// Whether a batch of `entries` should walk words for features 0 … largest.
  [[nodiscard]] static bool worth_words(std::size_t largest, std::size_t entries);
  struct Slot {
    std::uint32_t key = 0;
    std::uint32_t number = kFree;
  };
  std::vector<std::uint64_t> bits_;  ///< of a batch's features
  std::vector<Word> words_;
  std::vector<Slot> slots_;
  std::size_t mask_ = 0;
  int shift_ = 63;
  std::uint32_t count_ = 0;
  std::uint64_t built_ = 0;  ///< number of the keys that words_ or slots_ hold; 0: none that may be used again
  bool by_words_ = false;    ///< which of the two
};

}  // namespace sluice::worker::models
