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
  built_ = 0;
  const std::size_t room = std::bit_ceil(std::max<std::size_t>(keys * 2, 16));
  if (slots_.size() < room) slots_.resize(room);
  // A larger table left by an earlier batch is used only as far as this batch needs.
  std::fill(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(room), Slot{});
  mask_ = room - 1;
  shift_ = 64 - std::countr_zero(room);
  count_ = 0;
}

bool KeyIndex::worth_words(std::size_t largest, std::size_t entries) { return largest / kWordBits < std::max(kWordsAlways, kWordsAnEntry * entries); }

void KeyIndex::distinct(std::span<const std::uint32_t> indices, std::vector<Key>& keys) {
  if (indices.empty()) return;
  const std::size_t largest = *std::max_element(indices.begin(), indices.end());
  if (worth_words(largest, indices.size())) {
    bits_.assign(largest / kWordBits + 1, 0);
    for (const std::uint32_t index : indices) bits_[index / kWordBits] |= std::uint64_t{1} << index % kWordBits;
    std::size_t count = 0;
    for (const std::uint64_t bits : bits_) count += static_cast<std::size_t>(std::popcount(bits));
    keys.resize(count);
    Key* to = keys.data();
    for (std::size_t w = 0; w < bits_.size(); ++w) {
      for (std::uint64_t bits = bits_[w]; bits != 0; bits &= bits - 1) *to++ = w * kWordBits + static_cast<std::size_t>(std::countr_zero(bits));
    }
    return;
  }
  clear(indices.size());
  for (const std::uint32_t index : indices) {
    if (add(index)) keys.push_back(index);
  }
  std::sort(keys.begin(), keys.end());
}

void KeyIndex::build(std::span<const Key> keys, std::size_t indices) {
  by_words_ = worth_words(keys.back(), indices);
  if (!by_words_) {
    clear(keys.size());
    for (const Key key : keys) (void)number_of(static_cast<std::uint32_t>(key));
    return;
  }
  words_.assign(keys.back() / kWordBits + 1, Word{});
  Word* const words = words_.data();
  for (const Key key : keys) words[key / kWordBits].bits |= std::uint64_t{1} << key % kWordBits;
  for (std::size_t w = 1; w < words_.size(); ++w) words[w].before = words[w - 1].before + static_cast<std::uint64_t>(std::popcount(words[w - 1].bits));
}

void KeyIndex::rows_of(std::span<const std::uint32_t> indices, std::span<const Key> keys, std::vector<std::uint32_t>& rows, std::uint64_t number) {
  rows.resize(indices.size());
  if (indices.empty()) return;
  SLUICE_ASSERT(!keys.empty());  // every feature of the batch has its row in the view
  if (number == 0 || number != built_) build(keys, indices.size());
  built_ = number;
  if (!by_words_) {
    for (std::size_t e = 0; e < indices.size(); ++e) rows[e] = number_of(indices[e]);
    SLUICE_ASSERT(count_ == keys.size());
    return;
  }
  SLUICE_ASSERT(*std::max_element(indices.begin(), indices.end()) <= keys.back());
  const Word* const words = words_.data();
  const std::uint32_t* const from = indices.data();
  std::uint32_t* const to = rows.data();
  const std::size_t n = indices.size();
  std::uint64_t missing = 0;  // its lowest bit; no branch, so that the loop is vectorised
#pragma GCC ivdep
  for (std::size_t e = 0; e < n; ++e) {
    const Word word = words[from[e] / kWordBits];
    const std::uint64_t at = from[e] % kWordBits;
    missing |= ~(word.bits >> at);
    to[e] = static_cast<std::uint32_t>(word.before + static_cast<std::uint64_t>(std::popcount(word.bits & ((std::uint64_t{1} << at) - 1))));
  }
  SLUICE_ASSERT((missing & 1) == 0);
}

}  // namespace sluice::worker::models
