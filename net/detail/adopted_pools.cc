#include "net/detail/adopted_pools.h"

#include <algorithm>

namespace sluice::net::detail {

class AdoptedPools::Memory final : public FrameMemory {
 public:
  Memory(AdoptedPools& pools, std::shared_ptr<SharedPool> pool, const Clock& clock) : pools_(pools), pool_(std::move(pool)), clock_(clock) {}
  ~Memory() override { pools_.let_go(pool_.get(), clock_.now()); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  [[nodiscard]] std::optional<WritableFrame> allocate(std::size_t bytes, std::size_t margin) override {
    const auto whole = std::make_shared<std::optional<WritableFrame>>(pool_->allocate(bytes + margin, clock_.now()));
    if (!*whole) return std::nullopt;
    return WritableFrame(whole, (*whole)->bytes().first(bytes));
  }

 private:
  AdoptedPools& pools_;
  std::shared_ptr<SharedPool> pool_;
  const Clock& clock_;
};

std::unique_ptr<FrameMemory> AdoptedPools::adopt(MemoryFile& file, const Clock& clock) {
  std::shared_ptr<SharedPool> pool = SharedPool::make(file);
  if (!pool) return nullptr;
  drop_idle(clock.now());
  const std::lock_guard lock(mutex_);
  pools_.push_back(pool);
  count_.store(pools_.size(), std::memory_order_release);
  return std::make_unique<Memory>(*this, std::move(pool), clock);
}

std::shared_ptr<SharedPool> AdoptedPools::pool_of(const Message& message) const {
  if (count_.load(std::memory_order_acquire) == 0) return nullptr;
  const auto large = std::find_if(message.frames.begin(), message.frames.end(), [](const Frame& frame) { return frame.size() >= kSharedBytesMin; });
  if (large == message.frames.end()) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto pool = std::find_if(pools_.begin(), pools_.end(), [&](const auto& each) { return each->offset_of(*large).has_value(); });
  return pool == pools_.end() ? nullptr : *pool;
}

void AdoptedPools::let_go(const SharedPool* pool, Instant now) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = std::find_if(pools_.begin(), pools_.end(), [pool](const auto& each) { return each.get() == pool; });
    leaving_.push_back(std::move(*at));
    pools_.erase(at);
    count_.store(pools_.size(), std::memory_order_release);
  }
  drop_idle(now);
}

void AdoptedPools::notice(const Clock& clock) {
  if (leaving_count_.load(std::memory_order_acquire) == 0) return;
  const Instant now = clock.now();
  if (now.ns < look_again_ns_.load(std::memory_order_relaxed)) return;
  look_again_ns_.store((now + kLookEvery).ns, std::memory_order_relaxed);
  drop_idle(now);
}

void AdoptedPools::drop_idle(Instant now) {
  std::vector<std::shared_ptr<SharedPool>> idle;  // dropped after the lock
  const std::lock_guard lock(mutex_);
  std::erase_if(leaving_, [&](auto& pool) {
    pool->sweep(now);
    const bool over = pool->figures().loans == 0;
    if (over) idle.push_back(std::move(pool));
    return over;
  });
  leaving_count_.store(leaving_.size(), std::memory_order_release);
}

}  // namespace sluice::net::detail
