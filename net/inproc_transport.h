#pragma once
/// Messages between actors of one process, on "inproc://NAME" ("inproc://*" picks a name). Used with a thread each, or all in one thread with simulated time
/// and injected faults: then every run from the same seed is the same run.
///
/// Connecting to a name that is not bound yet queues, and connects when it is. Destroying a Listener or Connection is its process's death: what was queued for
/// it is lost, what it had sent still arrives, its peers see connected() turn false or kCannotConnect.

#include "base/rng.h"
#include "net/transport.h"

namespace sluice::net {

/// What goes wrong on purpose, each message drawing for itself. Probabilities in [0, 1].
struct Faults {
  std::uint64_t seed = 1;
  double drop = 0;       ///< lost, though the send said ok
  double repeat = 0;     ///< arrives twice
  double reorder = 0;    ///< may overtake, or be overtaken by, others of its connection
  Duration delay_max{};  ///< each takes uniformly 0 … this long; in simulated time
};

/// What the faults did so far.
struct FaultCounts {
  std::uint64_t sent = 0;
  std::uint64_t dropped = 0;
  std::uint64_t repeated = 0;
  std::uint64_t reordered = 0;
};

struct InprocOptions {
  std::size_t queue_messages_max = 4096;  ///< per connection and direction; beyond it a send is kFull
  Faults faults;
};

/// Any thread may use the transport; each socket belongs to one thread. `clock` outlives it and its sockets.
class InprocTransport final : public Transport {
 public:
  explicit InprocTransport(Clock& clock, InprocOptions options = {});
  ~InprocTransport() override;
  /// Errors: kCannotConnect: not "inproc://…", or the name is taken.
  [[nodiscard]] Result<std::unique_ptr<Listener>> listen(const std::string& address) override;
  [[nodiscard]] Result<std::unique_ptr<Connection>> connect(const std::string& address) override;
  [[nodiscard]] std::unique_ptr<Poller> poller() override;
  /// The earliest time after now at which a message arrives, or never: SimExecutor's next_event.
  [[nodiscard]] Instant next_delivery() const;
  /// From now on; messages under way keep their fate.
  void set_faults(const Faults& faults);
  [[nodiscard]] FaultCounts counts() const;

  struct Hub;

 private:
  std::shared_ptr<Hub> hub_;
};

}  // namespace sluice::net
