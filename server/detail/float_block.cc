#include "server/detail/float_block.h"

#include <algorithm>
#include <utility>

namespace sluice::server {

/// As ValueBuffer::Reading: a count of our own, because shared_ptr's does not order a reader's last read before our next write.
struct FloatBlock::Reading {
  explicit Reading(std::shared_ptr<FloatBlock> b) : block(std::move(b)) { block->readers_.fetch_add(1, std::memory_order_relaxed); }
  ~Reading() { block->readers_.fetch_sub(1, std::memory_order_release); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  std::shared_ptr<FloatBlock> block;
};

std::shared_ptr<const float> FloatBlock::share(std::shared_ptr<FloatBlock> block) {
  const float* floats = block->data();
  return {std::make_shared<const Reading>(std::move(block)), floats};
}

std::shared_ptr<FloatBlock> FloatBlock::copy() const {
  auto out = std::make_shared<FloatBlock>(size_);
  std::copy_n(data(), size_, out->data());
  return out;
}

}  // namespace sluice::server
