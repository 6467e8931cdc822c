#include "worker/models/key_index.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace sluice::worker::models {

/// Words that even a batch of a few entries walks: 16 KiB.
constexpr std::size_t kWordsAlways = 1024;
/// Words worth walking for each entry: about what hashing and sorting one costs.
constexpr std::size_t kWordsAnEntry = 8;

void KeyIndex::clear(std::size_t keys) {
  const std::size_t room = std::bit_ceil(std::max<std::size_t>(keys * 2, 16));
  if (slots_.size() < room) slots_.resize(room);
  // A larger table left by an earlier batch is used only as far as this batch needs.
  std::fill(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(room), Slot{});
  mask_ = room - 1;
  shift_ = 64 - std::countr_zero(room);
  count_ = 0;
}

KeyIndex::Word* KeyIndex::clear_words(std::size_t largest, std::size_t entries) {
  const std::size_t words = largest / kWordBits + 1;
  if (words > std::max(kWordsAlways, kWordsAnEntry * entries)) return nullptr;
  words_.assign(words, Word{});
  return words_.data();
}

void KeyIndex::distinct(std::span<const std::uint32_t> indices, std::vector<Key>& keys) {
  if (indices.empty()) return;
  if (Word* const words = clear_words(*std::max_element(indices.begin(), indices.end()), indices.size())) {
    for (const std::uint32_t index : indices) words[index / kWordBits].bits |= std::uint64_t{1} << index % kWordBits;
    for (std::size_t w = 0; w < words_.size(); ++w) {
      for (std::uint64_t bits = words[w].bits; bits != 0; bits &= bits - 1) keys.push_back(w * kWordBits + static_cast<std::size_t>(std::countr_zero(bits)));
    }
    return;
  }
  clear(indices.size());
  for (const std::uint32_t index : indices) {
    if (add(index)) keys.push_back(index);
  }
  std::sort(keys.begin(), keys.end());
}

void KeyIndex::rows_of(std::span<const std::uint32_t> indices, std::span<const Key> keys, std::vector<std::uint32_t>& rows) {
  rows.resize(indices.size());
  if (indices.empty()) return;
  SLUICE_ASSERT(!keys.empty());  // every feature of the batch has its row in the view
  Word* const words = clear_words(keys.back(), indices.size());
  if (words == nullptr) {
    clear(keys.size());
    for (const Key key : keys) (void)number_of(static_cast<std::uint32_t>(key));
    for (std::size_t e = 0; e < indices.size(); ++e) rows[e] = number_of(indices[e]);
    SLUICE_ASSERT(count_ == keys.size());
    return;
  }
  for (const Key key : keys) words[key / kWordBits].bits |= std::uint64_t{1} << key % kWordBits;
  for (std::size_t w = 1; w < words_.size(); ++w) words[w].before = words[w - 1].before + static_cast<std::uint64_t>(std::popcount(words[w - 1].bits));
  bool all = *std::max_element(indices.begin(), indices.end()) <= keys.back();
  SLUICE_ASSERT(all);
  for (std::size_t e = 0; e < indices.size(); ++e) {
    const Word& word = words[indices[e] / kWordBits];
    const std::uint64_t bit = std::uint64_t{1} << indices[e] % kWordBits;
    all = all && (word.bits & bit) != 0;
    rows[e] = static_cast<std::uint32_t>(word.before) + static_cast<std::uint32_t>(std::popcount(word.bits & (bit - 1)));
  }
  SLUICE_ASSERT(all);
}

}  // namespace sluice::worker::models
