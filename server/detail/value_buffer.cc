#include "server/detail/value_buffer.h"

#include <algorithm>

namespace sluice::server {

/// Counts one frame (with all its copies) as a reader. The count is our own and not the shared_ptr's, because only an acquiring load orders a reader's last
/// read before our next write, and use_count() is relaxed.
struct ValueBuffer::Reading {
  explicit Reading(std::shared_ptr<ValueBuffer> b) : buffer(std::move(b)) { buffer->readers_.fetch_add(1, std::memory_order_relaxed); }
  ~Reading() { buffer->readers_.fetch_sub(1, std::memory_order_release); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  std::shared_ptr<ValueBuffer> buffer;
};

net::Frame ValueBuffer::share(std::shared_ptr<ValueBuffer> buffer) {
  const Bytes bytes = std::as_bytes(std::span<const float>(buffer->data(), buffer->size()));
  return {std::make_shared<const Reading>(std::move(buffer)), bytes};
}

std::shared_ptr<ValueBuffer> BufferPool::take(std::size_t n) {
  constexpr std::size_t kLook = 64;  // recycled ones are near the old end; a long walk past stuck readers would cost more than it saves
  const auto end = held_.begin() + static_cast<std::ptrdiff_t>(std::min(held_.size(), kLook));
  const auto found = std::find_if(held_.begin(), end, [n](const auto& buffer) { return buffer->size() == n && !buffer->read_by_others(); });
  if (found == end) return std::make_shared<ValueBuffer>(transport_.allocate(n * sizeof(float)));
  auto buffer = std::move(*found);
  held_.erase(found);
  bytes_ -= buffer->bytes();
  return buffer;
}

void BufferPool::give(std::shared_ptr<ValueBuffer> buffer) {
  bytes_ += buffer->bytes();
  held_.push_back(std::move(buffer));
}

void BufferPool::trim(std::size_t bytes_max) {
  for (auto it = held_.begin(); it != held_.end() && bytes_ > bytes_max;) {
    if ((*it)->read_by_others()) {
      ++it;
      continue;
    }
    bytes_ -= (*it)->bytes();
    it = held_.erase(it);
  }
}

}  // namespace sluice::server
