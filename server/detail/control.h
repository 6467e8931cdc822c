#pragma once
/// The server as a member of the cluster: registers, sends heartbeats, hears slot tables and the ends of jobs, forwards reports. Everything the manager must be
/// told is kept until the manager has answered; if the manager is gone the lanes serve on.

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/executor.h"
#include "net/channel.h"
#include "server/detail/links.h"
#include "server/detail/rate_limited.h"
#include "server/server.h"

namespace sluice::server {

/// Adds a later report of the same job to an earlier one that has not gone out: totals are replaced, windows add up.
void merge(proto::JobReport& earlier, const proto::JobReport& later);

class Control final : public Actor {
 public:
  Control(ServerOptions options, std::vector<std::string> lane_addresses, std::vector<std::shared_ptr<LaneInbox>> lanes, std::shared_ptr<ControlInbox> inbox,
          std::unique_ptr<net::Connection> manager, std::shared_ptr<net::Poller> poller, Clock& clock);
  ~Control() override;

  [[nodiscard]] Step step() override;
  void wait(Instant until) override { poller_->wait(until); }
  void wake() override { poller_->wake(); }
  void stop() override { stopping_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool ended() const override { return failed_ || stopping_.load(std::memory_order_relaxed); }

 private:
  void register_now();
  void registered(const proto::Registered& answer);
  void registration_failed(const Error& error, bool retry);
  void fatal(Error error);
  void lost_membership(const std::string& why);
  void completed(net::Completion completion);
  void heartbeat_answered(const net::Answer& answer);
  void unasked(const net::Answer& message);
  void save_job(JobId job, const proto::SaveJob& order);
  void end_job(JobId job, const std::string& keep);
  void job_answer(JobId job, proto::Body answer);
  void take_table(const std::string& bytes);
  void ask_for_table();
  void take_news();
  void send_reports();
  void timers(Instant now);
  [[nodiscard]] Instant next_timer() const;
  [[nodiscard]] proto::Header header(proto::Body body) const;
  [[nodiscard]] Result<std::uint64_t> send(proto::Body body, Instant deadline);

  ServerOptions options_;
  std::vector<std::string> lane_addresses_;
  std::vector<std::shared_ptr<LaneInbox>> lanes_;
  std::shared_ptr<ControlInbox> inbox_;
  std::shared_ptr<net::Poller> poller_;
  Clock& clock_;
  net::Channel channel_;

  bool acted_ = false;  ///< in this step
  bool was_member_ = false;
  ServerId self_;  ///< 0: not a member now
  std::uint32_t heartbeat_ms_ = 200;
  RingVersion version_;  ///< of the table the lanes have
  RingVersion wanted_;   ///< someone knows this one
  std::uint64_t register_request_ = 0;
  std::uint64_t heartbeat_request_ = 0;
  std::uint64_t table_request_ = 0;
  std::uint64_t report_request_ = 0;
  Instant register_at_{};  ///< when to register again; never while asking or a member
  Duration backoff_ = from_ms(200);
  Instant heartbeat_at_ = Instant::never();
  Instant answered_at_{};  ///< the last heartbeat's answer
  Instant table_at_ = Instant::never();
  std::set<JobId> keeping_;  ///< ended, and on their way into files
  struct Saving {
    std::string cut;
    std::optional<proto::Saved> said;  ///< how it ended
  };
  std::map<JobId, Saving> saving_;             ///< the newest checkpoint of each live job
  std::map<JobId, proto::JobReport> pending_;  ///< not sent
  std::vector<proto::JobReport> in_flight_;    ///< sent, and sent again as they are until answered
  RateLimited complaints_;
  bool failed_ = false;
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::server
