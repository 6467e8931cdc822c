#pragma once
/// What the control actor and the lanes hand each other: small, rare, bounded. Parameters and gradients never pass here. Shared by both sides, so it may
/// outlive either.

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "server/detail/first_values.h"
#include "server/detail/view.h"

namespace sluice::server {

/// What the keeper has read for a lane: a job's first values, or what a checkpoint's home knew.
struct LoadedFirst {
  JobId job;
  std::uint32_t generation = 0;
  std::variant<Result<FirstValues>, Result<ResumedHome>> what;
};

/// Control → one lane. Any thread.
class LaneInbox {
 public:
  static constexpr std::size_t kEndedMax = 4096;
  explicit LaneInbox(std::shared_ptr<net::Poller> poller) : poller_(std::move(poller)) {}

  /// The newest view; one that was not taken yet is replaced.
  void set_view(std::shared_ptr<const View> view);
  /// A job is over; `keep` as in proto::EndJob. False when kEndedMax are waiting: try again.
  [[nodiscard]] bool end_job(JobId job, std::string keep);

  /// The job is to be saved, as its home's lane does it; a later order replaces one that was not taken yet.
  void save_job(JobId job, proto::SaveJob order);
  void loaded(LoadedFirst what);

  struct Ended {
    JobId job;
    std::string keep;
  };
  struct News {
    std::shared_ptr<const View> view;  ///< null: no newer one
    std::vector<Ended> ended;
    std::map<JobId, proto::SaveJob> saves;
    std::vector<LoadedFirst> loaded;
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
  /// What all lanes had of an ended job is in its file; or not, and why.
  void kept(JobId job, Result<void> result);
  /// This server's part of a cut is written, or the cut is not made and why.
  void saved(JobId job, proto::Saved said);

  struct News {
    std::vector<proto::JobReport> reports;
    RingVersion wanted;
    std::vector<std::pair<JobId, Result<void>>> kept;
    std::vector<std::pair<JobId, proto::Saved>> saved;
  };
  [[nodiscard]] News take();
  void wake() { poller_->wake(); }

 private:
  std::shared_ptr<net::Poller> poller_;  ///< control's
  std::mutex mutex_;
  News news_;
};

}  // namespace sluice::server
