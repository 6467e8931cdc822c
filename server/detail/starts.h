#pragma once
/// How a job that begins with values from a file begins: its home's lane tells every lane that owns shards of it, this one too, and asks again until each has
/// read them. Only then the home gives out work; so no shard can be missing from a checkpoint, and no slot waits in a call while a large file is read. One
/// lane's thread.

#include <cstdint>
#include <map>

#include "base/clock.h"
#include "server/detail/apply_calls.h"
#include "server/detail/home_host.h"
#include "server/detail/table_host.h"
#include "server/detail/view.h"

namespace sluice::server {

class Starts {
 public:
  /// All outlive it.
  Starts(std::uint32_t lane, TableHost& tables, HomeHost& homes, net::Transport& transport, Clock& clock, net::Poller& poller)
      : lane_(lane), tables_(tables), homes_(homes), clock_(clock), calls_(transport, clock, poller) {}

  /// Takes what homes want to begin, and goes on with what is under way. True if anything happened.
  bool step(const View& view);
  void forget(JobId job);
  [[nodiscard]] Instant next_timer() const;

 private:
  static constexpr Duration kLook = from_ms(20);  ///< at this lane's own shards
  struct Task {
    proto::Envelope envelope;
    proto::CreateTables tables;
    bool here = false, others = false;  ///< are still waited for
    Instant look;
  };
  void begin(StartTask task, const View& view);
  /// True if that was the end of it.
  bool end(JobId job, const Task& task, const std::optional<Error>& error);

  std::uint32_t lane_;
  TableHost& tables_;
  HomeHost& homes_;
  Clock& clock_;
  ApplyCalls calls_;
  std::map<JobId, Task> tasks_;
};

}  // namespace sluice::server
