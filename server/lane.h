#pragma once
/// A lane: one thread with its own socket, and every shard and job home whose hash slot maps to it (hash slot mod lanes). Nothing is handed over between
/// threads on the way of a push.

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/executor.h"
#include "net/channel.h"
#include "net/runtime.h"
#include "server/detail/apply_calls.h"
#include "server/detail/cuts.h"
#include "server/detail/ended_jobs.h"
#include "server/detail/home_host.h"
#include "server/detail/keeper.h"
#include "server/detail/links.h"
#include "server/detail/rate_limited.h"
#include "server/detail/starts.h"
#include "server/detail/table_host.h"
#include "server/detail/view.h"

namespace sluice::server {

struct LaneOptions {
  std::uint32_t index = 0;
  std::uint32_t lanes = 1;
  std::uint32_t report_ms = 250;
  std::size_t spare_bytes = 16u << 20;  ///< of this lane: see TableHostOptions
};

class Lane final : public Actor {
 public:
  /// `poller` is also in `inbox`, which wakes it. `keeper`: where ended jobs and checkpoints go. `transport` and `clock` outlive the lane.
  Lane(LaneOptions options, std::unique_ptr<net::Listener> listener, std::shared_ptr<net::Poller> poller, std::shared_ptr<LaneInbox> inbox,
       std::shared_ptr<ControlInbox> control, std::shared_ptr<KeeperInbox> keeper, std::shared_ptr<MemoryBudget> budget, net::Transport& transport,
       Clock& clock);
  ~Lane() override;

  [[nodiscard]] Step step() override;
  void wait(Instant until) override { poller_->wait(until); }
  void wake() override { poller_->wake(); }
  void stop() override { stopping_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool ended() const override { return stopping_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] bool take_news();
  bool receive();
  /// What jobs begin with, where that is in files: asks the keeper for it.
  void read_wanted();
  void end(const LaneInbox::Ended& ended);
  [[nodiscard]] Reply answer(const net::Request& request);
  [[nodiscard]] Reply answer_home(const net::Request& request);
  void send(const net::Request& request, Reply reply);
  /// bsp: closed clocks go to the shards, here and elsewhere; true if any went or came back.
  bool apply_clocks();

  LaneOptions options_;
  Clock& clock_;
  std::shared_ptr<net::Poller> poller_;
  std::shared_ptr<LaneInbox> inbox_;
  std::shared_ptr<ControlInbox> control_;
  std::shared_ptr<KeeperInbox> keeper_;
  net::Endpoint endpoint_;
  std::shared_ptr<const View> view_;  ///< null until the server is a member and the slot table is made
  EndedJobs ended_jobs_;
  TableHost tables_;
  HomeHost homes_;
  ApplyCalls applies_;
  Cuts cuts_;
  Starts starts_;
  RateLimited refusals_;
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::server
