#pragma once
/// The manager as an actor: one endpoint that servers, workers and people talk to. Never blocks on a peer.

#include <memory>

#include "manager/detail/core.h"
#include "net/channel.h"
#include "net/runtime.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Actor> make_manager_actor(std::unique_ptr<Core> core, std::unique_ptr<net::Listener> listener, net::Runtime runtime);

}  // namespace sluice::manager
