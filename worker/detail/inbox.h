#pragma once
/// What the control actor and the slot actors of one worker hand each other: small values under a mutex, latest wins, and a wake. Nothing here is on the way of
/// a batch but one atomic.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "proto/slot_table.h"

namespace sluice::worker {

/// What a grant wants of one slot.
struct Order {
  proto::Assignment assignment;
  Term term;               ///< of the manager that granted it
  bool same_host = false;  ///< decided_at is comparable with our clock
  Instant received;
};

/// Control → one slot. Any thread; the slot takes.
class SlotInbox {
 public:
  explicit SlotInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}
  struct Content {
    std::optional<Incarnation> incarnation;
    std::optional<Order> order;
    std::shared_ptr<const proto::SlotTable> table;
    bool stop = false;
  };
  /// A new membership: an order of the one before is void.
  void put(Incarnation incarnation) {
    change([&](Content& c) { c.incarnation = incarnation, c.order.reset(); });
  }
  void put(Order order) {
    change([&](Content& c) { c.order = std::move(order); });
  }
  void put(std::shared_ptr<const proto::SlotTable> table) {
    change([&](Content& c) { c.table = std::move(table); });
  }
  void stop() {
    change([](Content& c) { c.stop = true; });
  }
  /// Something happened elsewhere (data is open): the slot should look.
  void wake() { poller_->wake(); }
  /// What waits to be taken: an end, or something else to do than `job`.
  [[nodiscard]] bool stopping() const {
    const std::lock_guard lock(mutex_);
    return content_.stop;
  }
  [[nodiscard]] bool wants_other_than(JobId job) const {
    const std::lock_guard lock(mutex_);
    return content_.incarnation.has_value() || (content_.order && content_.order->assignment.job != job);
  }
  /// What changed since the last call, or none.
  [[nodiscard]] std::optional<Content> take() {
    if (!changed_.load(std::memory_order_acquire)) return std::nullopt;
    const std::lock_guard lock(mutex_);
    changed_.store(false, std::memory_order_relaxed);
    const bool stop = content_.stop;
    Content out = std::exchange(content_, Content{});
    content_.stop = stop;
    return out;
  }

 private:
  template <class F>
  void change(F f) {
    {
      const std::lock_guard lock(mutex_);
      f(content_);
      changed_.store(true, std::memory_order_release);
    }
    poller_->wake();
  }
  std::shared_ptr<net::Poller> poller_;
  mutable std::mutex mutex_;
  std::atomic<bool> changed_{false};
  Content content_;
};

/// What a slot tells the manager.
struct FaultNews {
  JobId job;
  std::uint32_t generation = 0;
  std::string code, what;
};
using News = std::variant<proto::Moved, FaultNews>;

/// Slots → control. Any thread; the control actor takes.
class ControlInbox {
 public:
  static constexpr std::size_t kNewsMax = 1024;
  explicit ControlInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}
  /// Beyond kNewsMax the oldest is dropped: a bound, not a promise that is ever tested by a live manager.
  void put(News news) {
    change([&] {
      if (news_.size() >= kNewsMax) news_.pop_front();
      news_.push_back(std::move(news));
    });
  }
  /// A server had a newer slot table than `have`, or refused us for ours.
  void want_table(RingVersion have) {
    change([&] { wanted_ = std::max(wanted_.value_or(have), have); });
  }
  void membership_lost(Incarnation incarnation) {
    change([&] { lost_.push_back(incarnation); });
  }
  void slot_ended() {
    change([&] { ++ended_; });
  }
  struct Content {
    std::deque<News> news;
    std::optional<RingVersion> wanted;
    std::vector<Incarnation> lost;
    std::uint32_t ended = 0;  ///< slots, in all
  };
  [[nodiscard]] Content take() {
    const std::lock_guard lock(mutex_);
    return {std::exchange(news_, {}), std::exchange(wanted_, {}), std::exchange(lost_, {}), ended_};
  }

 private:
  template <class F>
  void change(F f) {
    {
      const std::lock_guard lock(mutex_);
      f();
    }
    poller_->wake();
  }
  std::shared_ptr<net::Poller> poller_;
  std::mutex mutex_;
  std::deque<News> news_;
  std::optional<RingVersion> wanted_;
  std::vector<Incarnation> lost_;
  std::uint32_t ended_ = 0;
};

}  // namespace sluice::worker
