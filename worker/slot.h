#pragma once
/// One worker slot: an actor that trains what its latest order says, one job at a time, and changes jobs at a batch boundary.

#include <memory>
#include <string>

#include "base/executor.h"
#include "net/runtime.h"
#include "worker/client.h"
#include "worker/detail/data_registry.h"
#include "worker/detail/inbox.h"
#include "worker/model.h"
#include "worker/plugin/runner.h"

namespace sluice::worker {

struct SlotOptions {
  WorkerSlot slot;
  ClientOptions client;
  Duration stop_patience = from_ms(2000);  ///< on stop(): for the batch under way, the leave and its answer; then it ends without
};

/// What the slots of a worker share.
struct SlotShared {
  std::shared_ptr<const ModelRegistry> models;
  std::shared_ptr<DataRegistry> data;
  std::shared_ptr<ControlInbox> control;
  plugin::Wanted plugins = std::make_shared<std::atomic<bool>>(false);
};

/// `poller` is the slot's own and wakes it; `inbox` was made with it. Model exceptions, losses that are not finite, refused updates, bad data and late answers
/// become news to `shared.control`, and the slot then leaves that assignment alone until it gets another.
[[nodiscard]] std::unique_ptr<Actor> make_slot(const SlotOptions& options, const SlotShared& shared, std::shared_ptr<SlotInbox> inbox,
                                               std::shared_ptr<net::Poller> poller, net::Runtime runtime);

}  // namespace sluice::worker
