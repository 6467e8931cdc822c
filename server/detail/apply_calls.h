#pragma once
/// Sends one thing of a job from its home to other lanes, on connections of the home's lane, until each has answered Done: under bsp a clock's Apply, and for a
/// checkpoint that this moment is its cut. The only way in which lanes talk to each other. One lane's thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/channel.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "server/detail/rate_limited.h"
#include "server/detail/view.h"

namespace sluice::server {

/// The lanes that own shards of a job's tables.
struct ShardLanes {
  bool here = false;                ///< the asking lane is one of them
  std::vector<std::string> others;  ///< addresses, each once
};
[[nodiscard]] ShardLanes shard_lanes(JobId job, const std::vector<proto::TableSpec>& tables, const View& view, std::uint32_t lane);

class ApplyCalls {
 public:
  static constexpr Duration kDeadline = from_ms(10'000);  ///< of one request; then it is asked anew: the manager ends the jobs of a lost server
  static constexpr Duration kAgain = from_ms(50);         ///< after `behind`

  /// The references outlive it; `poller` gets the connections.
  ApplyCalls(net::Transport& transport, Clock& clock, net::Poller& poller) : transport_(transport), clock_(clock), poller_(poller) {}
  ~ApplyCalls();
  ApplyCalls(const ApplyCalls&) = delete;
  ApplyCalls& operator=(const ApplyCalls&) = delete;

  /// Begins to send; one clock a job at a time: an earlier one of the same job is forgotten. With no lanes it is done at once.
  void begin(proto::Envelope envelope, proto::Apply apply, std::vector<std::string> lanes);
  /// The same for another message; `number` tells it from earlier ones of the job, `what` is it in words.
  void begin(proto::Envelope envelope, std::uint64_t number, proto::Body body, std::string what, std::vector<std::string> lanes);
  /// The job is over: nothing more is sent or told.
  void forget(JobId job);
  /// Receives answers, sends what is due. True if anything happened.
  bool step();

  struct Finished {
    JobId job;
    std::uint64_t clock = 0;     ///< or the number
    std::optional<Error> error;  ///< a lane's, with its address
  };
  /// Clocks that all lanes have applied, or that one refused.
  [[nodiscard]] std::vector<Finished> take_finished() { return std::exchange(finished_, {}); }
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Job {
    proto::Envelope envelope;
    std::uint64_t clock = 0;
    proto::Body body;
    std::string what;
    std::map<std::string, Instant> waiting;  ///< lanes that have not answered yet: when to send again; never: a request is under way
  };
  struct Lane {
    std::unique_ptr<net::Channel> channel;
    std::map<std::uint64_t, std::pair<JobId, std::uint64_t>> calls;  ///< request → job and clock
  };
  Result<Lane*> lane(const std::string& address);
  bool send_due();
  void take(const std::string& address, JobId job, std::uint64_t clock, const Result<net::Answer>& answer);
  void end(JobId job, std::optional<Error> error);

  net::Transport& transport_;
  Clock& clock_;
  net::Poller& poller_;
  std::map<std::string, Lane> lanes_;  ///< by address; made when first needed
  std::map<JobId, Job> jobs_;
  std::vector<Finished> finished_;
  RateLimited complaints_;
};

}  // namespace sluice::server
