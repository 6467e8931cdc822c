#pragma once
/// The receiving side of shared frames: other processes' pools, mapped, and the frames taken from them.

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "net/detail/shared_pool.h"

namespace sluice::net::detail {

/// One process's pool as seen from here: its data for reading, its control page for giving loans back. Stays mapped while any frame of it lives.
class PeerPool {
 public:
  /// Opens what the name says and checks that it is that: a sealed memory file of the same user with the same random id. nullptr if anything is not as it
  /// should be.
  [[nodiscard]] static std::shared_ptr<PeerPool> open(const PoolName& name);
  ~PeerPool();
  PeerPool(const PeerPool&) = delete;
  PeerPool& operator=(const PeerPool&) = delete;

  [[nodiscard]] const PoolName& name() const { return name_; }
  [[nodiscard]] Bytes data() const { return {data_, data_bytes_}; }
  /// Its owner said that it lends nothing of it any more.
  [[nodiscard]] bool said_closed() const { return std::atomic_ref(control_->closed).load(std::memory_order_acquire) != 0; }
  /// Bytes of the data; inside it.
  struct Place {
    std::uint64_t offset = 0;
    std::uint64_t size = 0;
  };
  /// Marks a loan as held. The owner returned gives it back when its last copy is released (any thread), and in a large pool unmaps `places`, which are what
  /// the loan's message is of: pages of a peer count as this process's memory while they are mapped, and mapping them again costs little beside that many
  /// bytes. nullptr: the sender took it back; the message is as good as lost.
  [[nodiscard]] static std::shared_ptr<const void> take(const std::shared_ptr<PeerPool>& pool, const Ticket& ticket, std::vector<Place> places);

 private:
  explicit PeerPool(const PoolName& name) : name_(name) {}
  bool open();
  void unmap(std::span<const Place> places);

  PoolName name_;
  const std::byte* data_ = nullptr;
  std::size_t data_bytes_ = 0;
  PoolControl* control_ = nullptr;
  std::atomic<std::uint64_t> reached_{0};  ///< the highest byte lent so far
};

/// Those that were met so far and are not closed; at most kPoolsMax. Any thread.
class PeerPools {
 public:
  static constexpr std::size_t kPoolsMax = 1024;
  /// nullptr where it cannot be opened.
  [[nodiscard]] std::shared_ptr<PeerPool> find(const PoolName& name);

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<PeerPool>> pools_;  ///< of living processes; the closed ones, whose memory they keep, are dropped now and then
  std::uint32_t finds_ = 0;
};

}  // namespace sluice::net::detail
