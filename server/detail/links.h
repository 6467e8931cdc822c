#pragma once
/// What the control actor and the lanes hand each other: small, rare, bounded. Parameters and gradients never pass here. Shared by both sides, so it may
/// outlive either.

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "server/detail/view.h"

namespace sluice::server {

/// Control → one lane. Any thread.
class LaneInbox {
 public:
  static constexpr std::size_t kEndedMax = 4096;
  explicit LaneInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}

  /// The newest view; one that was not taken yet is replaced.
  void set_view(std::shared_ptr<const View> view);
  /// A job is over. False when kEndedMax are waiting: try again.
  [[nodiscard]] bool end_job(JobId job);

  struct News {
    std::shared_ptr<const View> view;  ///< null: no newer one
    std::vector<JobId> ended;
  };
  [[nodiscard]] News take();
  void wake() { poller_->wake(); }

 private:
  std::shared_ptr<net::Poller> poller_;  ///< the lane's; wake() may come after the lane is gone
  std::mutex mutex_;
  News news_;
};

/// All lanes → control. Any thread.
class ControlInbox {
 public:
  static constexpr std::size_t kReportsMax = 8192;
  explicit ControlInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}

  /// A job home's report. False when kReportsMax are waiting: the home keeps its window open and tries again.
  [[nodiscard]] bool offer(proto::JobReport report);
  /// A client knows a slot table newer than ours.
  void want_table(RingVersion version);

  struct News {
    std::vector<proto::JobReport> reports;
    RingVersion wanted;
  };
  [[nodiscard]] News take();
  void wake() { poller_->wake(); }

 private:
  std::shared_ptr<net::Poller> poller_;  ///< control's
  std::mutex mutex_;
  News news_;
};

}  // namespace sluice::server
