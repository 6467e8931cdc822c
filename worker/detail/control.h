#pragma once
/// The worker's membership: registers, keeps up heartbeats, hands grants and slot tables to the slots, and takes their news to the manager until it has it.
/// Training goes on without a manager; a worker that is told it is no member any more abandons what is unacknowledged and registers anew.

#include <memory>
#include <string>
#include <vector>

#include "base/executor.h"
#include "net/runtime.h"
#include "worker/detail/inbox.h"
#include "worker/worker.h"

namespace sluice::worker {

struct ControlSetup {
  WorkerOptions options;
  std::string host;  ///< the host's boot id
  std::vector<std::shared_ptr<SlotInbox>> slots;
  std::shared_ptr<ControlInbox> inbox;
  std::shared_ptr<net::Poller> poller;  ///< the control actor's own
  std::unique_ptr<net::Connection> manager;
};
[[nodiscard]] std::unique_ptr<Actor> make_control(ControlSetup setup, net::Runtime runtime);

}  // namespace sluice::worker
