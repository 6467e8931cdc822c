#pragma once
/// Checkpoints as one lane makes them. Where the job's home is: closes its gate, puts off what waiting slots ask, and once the home is quiet makes the cut:
/// what the home knows, a snapshot of the shards here, and word to every other lane of the job's servers to do the same; when all have, the gate opens again.
/// Training stands still from the closing to the opening only; files are written by the keepers afterwards. One lane's thread.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/channel.h"
#include "server/detail/apply_calls.h"
#include "server/detail/home_host.h"
#include "server/detail/keeper.h"
#include "server/detail/links.h"
#include "server/detail/table_host.h"

namespace sluice::server {

/// What a lane lends its Cuts; all outlive it.
struct CutParts {
  std::uint32_t lane = 0;
  TableHost& tables;
  HomeHost& homes;
  std::shared_ptr<KeeperInbox> keeper;
  std::shared_ptr<ControlInbox> control;
};

class Cuts {
 public:
  /// How long slots may be kept waiting for the others' batches. Their own calls give up after 10 s; under bsp they wait at the gate, which has no deadline.
  static constexpr Duration kPatience = from_ms(5'000), kBspPatience = from_ms(30'000);
  static constexpr std::size_t kPutOffMax = 1 << 16;  ///< requests of a job; more are answered `behind`

  Cuts(CutParts parts, net::Transport& transport, Clock& clock, net::Poller& poller)
      : parts_(std::move(parts)), clock_(clock), calls_(transport, clock, poller) {}

  /// From the control actor: begins, where the job's home is on this lane; an order without a folder gives a cut up.
  void order(JobId job, proto::SaveJob order, const View& view);
  /// From the home's lane: this moment is the cut. Answers Done also to a repeat.
  [[nodiscard]] Reply mark(const proto::Envelope& envelope, const proto::SaveJob& order);
  /// Whether the request has to wait for the gate; then it is kept here, or answered `behind` by what is returned in `full`.
  [[nodiscard]] bool put_off(net::Request& request, bool& full);
  /// After a commit was answered: whether its slot is to hear it only when the gate opens; then both are kept here.
  [[nodiscard]] bool hold_back(net::Request& request, Reply& reply);
  void forget(JobId job);

  /// What is to be done now that the gate is open again, in its order: a reply to be sent, or (none) a request to be handled.
  struct Released {
    net::Request request;
    std::optional<Reply> reply;
  };
  /// Makes cuts whose homes are quiet, ends those that are made, gives up those that take too long. True if anything happened.
  bool step(const View& view);
  [[nodiscard]] std::vector<Released> take_released() { return std::exchange(released_, {}); }
  [[nodiscard]] Instant next_timer() const;

 private:
  struct Task {
    proto::SaveJob order;
    std::uint64_t number = 0;
    Instant begun;
    Instant give_up;
    bool marking = false;  ///< the cut is this moment; other lanes are told
    KeptTables tables;
    std::optional<CutPiece::Home> home;
    std::vector<Released> waiting;
  };
  void mark_all(JobId job, Task& task, JobHome& home, const View& view);
  void end(JobId job, const std::optional<Error>& error);
  void say(JobId job, const proto::SaveJob& order, const Error& error);

  CutParts parts_;
  Clock& clock_;
  ApplyCalls calls_;
  std::map<JobId, Task> tasks_;             ///< of homes here
  std::map<JobId, std::string> last_mark_;  ///< the newest cut that a home's lane asked for
  std::vector<Released> released_;
  std::uint64_t next_number_ = 1;
};

}  // namespace sluice::server
