#pragma once
/// Pools in memory files of others (net/frame_memory.h), beside a transport's own.

#include <atomic>
#include <cstdint>
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
  /// To be called often: closes what was let go with loans once these are over, kLookEvery later at most. Cheap where there is nothing of the kind.
  void notice(const Clock& clock);
  static constexpr Duration kLookEvery = from_ms(100);

 private:
  class Memory;
  void let_go(const SharedPool* pool, Instant now);
  /// A pool that was let go stays until its loans are over: a receiver that meets it first in a message under way must be able to open it.
  void drop_idle(Instant now);

  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<SharedPool>> pools_, leaving_;
  std::atomic<std::size_t> count_{0}, leaving_count_{0};  ///< of both, to be read without the lock
  std::atomic<std::int64_t> look_again_ns_{0};
};

}  // namespace sluice::net::detail
