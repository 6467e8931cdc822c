#pragma once
/// Memory of dense values that pull replies share. A shard whose buffer is being read writes its next update into another one and swaps; what was read is used
/// again once nobody reads it. One pool a lane; only the frames it handed out are touched by other threads.

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <span>

#include "net/transport.h"

namespace sluice::server {

/// Floats on a 64-byte boundary, and how many frames read them. Contents undefined at first.
class ValueBuffer {
 public:
  explicit ValueBuffer(net::WritableFrame memory) : memory_(std::move(memory)), floats_(memory_.floats()) {}
  [[nodiscard]] float* data() { return floats_.data(); }
  [[nodiscard]] const float* data() const { return floats_.data(); }
  [[nodiscard]] std::size_t size() const { return floats_.size(); }
  [[nodiscard]] std::size_t bytes() const { return floats_.size_bytes(); }
  /// False once every frame that shared it is gone, and all they read happened before. Owner's thread.
  [[nodiscard]] bool read_by_others() const { return readers_.load(std::memory_order_acquire) != 0; }
  /// The first n floats as a frame that keeps `buffer` alive and counts as a reader until its last copy is gone. The values must not change meanwhile.
  [[nodiscard]] static net::Frame share(std::shared_ptr<ValueBuffer> buffer);
  /// A checkpoint reads it: once superseded it is no spare buffer of the pool, whose bound is about slow readers; its readers free it.
  void lend(bool lent) { lent_ = lent; }
  [[nodiscard]] bool lent() const { return lent_; }

 private:
  struct Reading;
  net::WritableFrame memory_;
  std::span<float> floats_;
  std::atomic<std::uint32_t> readers_{0};
  bool lent_ = false;  ///< owner's thread
};

/// Superseded buffers, waiting until their readers are done, then given out again. One thread.
class BufferPool {
 public:
  /// `transport` outlives it.
  explicit BufferPool(net::Transport& transport) : transport_(transport) {}
  /// A buffer of n floats that nobody reads: a recycled one where there is one of that size.
  [[nodiscard]] std::shared_ptr<ValueBuffer> take(std::size_t n);
  /// Takes back a buffer that its shard no longer needs; frames may still read it.
  void give(std::shared_ptr<ValueBuffer> buffer);
  /// Frees buffers that nobody reads until at most `bytes_max` are held, oldest first. What is still read can't be freed: compare bytes() with the bound to
  /// find slow readers.
  void trim(std::size_t bytes_max);
  /// Held here, read or not.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  net::Transport& transport_;
  std::deque<std::shared_ptr<ValueBuffer>> held_;  ///< oldest first
  std::size_t bytes_ = 0;
};

}  // namespace sluice::server
