#pragma once
/// Pools in memory files of others (net/frame_memory.h), beside a transport's own.

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "net/detail/shared_pool.h"
#include "net/frame_memory.h"

namespace sluice::net::detail {

/// Any thread; outlives what it gave out.
class AdoptedPools {
 public:
  /// nullptr where the system lacks something: the file is still the caller's then.
  [[nodiscard]] std::unique_ptr<FrameMemory> adopt(MemoryFile& file, const Clock& clock);
  /// The pool that has the message's first large frame; nullptr: none of these.
  [[nodiscard]] std::shared_ptr<SharedPool> pool_of(const Message& message) const;

 private:
  class Memory;
  void let_go(const SharedPool* pool, Instant now);
  /// A pool that was let go stays until its loans are over: a receiver that meets it first in a message under way must be able to open it.
  void drop_idle(Instant now);

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<SharedPool>> pools_, leaving_;
  std::atomic<std::size_t> count_{0};  ///< pools_.size(), to be read without the lock
};

}  // namespace sluice::net::detail
