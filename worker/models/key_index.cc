#include "worker/models/key_index.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace sluice::worker::models {

void KeyIndex::clear(std::size_t keys) {
  const std::size_t room = std::bit_ceil(std::max<std::size_t>(keys * 2, 16));
  if (slots_.size() < room) slots_.resize(room);
  // A larger table left by an earlier batch is used only as far as this batch needs.
  std::fill(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(room), Slot{});
  mask_ = room - 1;
  shift_ = 64 - std::countr_zero(room);
  count_ = 0;
}

void KeyIndex::distinct(std::span<const std::uint32_t> indices, std::vector<Key>& keys) {
  clear(indices.size());
  for (const std::uint32_t index : indices) {
    if (add(index)) keys.push_back(index);
  }
  std::sort(keys.begin(), keys.end());
}

void KeyIndex::rows_of(std::span<const std::uint32_t> indices, std::span<const Key> keys, std::vector<std::uint32_t>& rows) {
  clear(keys.size());
  for (const Key key : keys) (void)number_of(static_cast<std::uint32_t>(key));
  rows.resize(indices.size());
  for (std::size_t e = 0; e < indices.size(); ++e) rows[e] = number_of(indices[e]);
  SLUICE_ASSERT(count_ == keys.size());  // every feature of the batch has its row in the view
}

}  // namespace sluice::worker::models
