#include "worker/models/key_index.h"

#include <algorithm>
#include <bit>

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

}  // namespace sluice::worker::models
