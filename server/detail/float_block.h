#pragma once
/// Heap memory of optimizer state and sparse rows that a checkpoint may share (copy-on-write): whoever writes asks read_by_others() first and copies the block
/// if so. Only what share() handed out is touched by other threads. Dense values have their own kind: value_buffer.h.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::server {

class FloatBlock {
 public:
  /// n zeros.
  explicit FloatBlock(std::size_t n) : floats_(std::make_unique<float[]>(n)), size_(n) {}
  [[nodiscard]] float* data() const { return floats_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// False once everything that share() handed out is gone, and all reads of it happened before. Owner's thread.
  [[nodiscard]] bool read_by_others() const { return readers_.load(std::memory_order_acquire) != 0; }
  /// The floats as they are now: they must not change while that pointer, or a copy, lives.
  [[nodiscard]] static std::shared_ptr<const float> share(std::shared_ptr<FloatBlock> block);
  /// A block of its own with the same floats.
  [[nodiscard]] std::shared_ptr<FloatBlock> copy() const;

 private:
  struct Reading;
  std::unique_ptr<float[]> floats_;
  std::size_t size_;
  std::atomic<std::uint32_t> readers_{0};
};

}  // namespace sluice::server
