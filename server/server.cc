#include "server/server.h"

#include <fmt/format.h>

#include "base/host.h"
#include "base/temporary_file.h"
#include "base/text.h"
#include "server/detail/control.h"
#include "server/detail/keeper.h"
#include "server/lane.h"

namespace sluice::server {
namespace {

constexpr std::size_t kSpareBytes = 24u << 20;  // of all lanes together: the resident limit leaves 64 MiB for everything beside values and state

/// "{}" in the pattern becomes the lane's number.
std::string lane_address(const std::string& pattern, std::uint32_t lane) {
  const auto at = pattern.find("{}");
  return at == std::string::npos ? pattern : pattern.substr(0, at) + std::to_string(lane) + pattern.substr(at + 2);
}

Result<void> check(const ServerOptions& options) {
  if (!text::valid_name(options.name)) return fail(Errc::kBadConfig, fmt::format("server name '{}': 1 to 64 of a-z 0-9 . _ -", options.name.substr(0, 80)));
  if (options.lanes < 1 || options.lanes > proto::kLanesMax) return fail(Errc::kBadConfig, fmt::format("{} lanes; 1 to {}", options.lanes, proto::kLanesMax));
  if (options.lanes > 1 && lane_address(options.listen, 0) == options.listen && !options.listen.ends_with(":*")) {
    return fail(Errc::kBadConfig, fmt::format("'{}' is one address for {} lanes: put {{}} where the lane's number goes", options.listen, options.lanes));
  }
  return {};
}

}  // namespace

Result<void> start_server(const ServerOptions& options, net::Runtime runtime) {
  if (auto ok = check(options); !ok) return ok;
  std::vector<std::unique_ptr<net::Listener>> listeners;
  std::vector<std::string> addresses;
  for (std::uint32_t i = 0; i < options.lanes; ++i) {
    auto listener = runtime.transport.listen(lane_address(options.listen, i));
    if (!listener) return fail(listener.error());
    addresses.push_back((*listener)->address());
    listeners.push_back(std::move(*listener));
  }
  if (!options.models.empty()) {
    if (auto made = make_private_folder(options.models); !made) return made;
  }
  auto manager = runtime.transport.connect(options.manager);
  if (!manager) return fail(manager.error());

  std::shared_ptr<net::Poller> control_poller = runtime.transport.poller();
  const auto control_inbox = std::make_shared<ControlInbox>(control_poller);
  std::shared_ptr<net::Poller> keeper_poller = runtime.transport.poller();
  const auto keeper_inbox = std::make_shared<KeeperInbox>(keeper_poller);
  runtime.executor.start(options.name + "/keeper",
                         std::make_unique<Keeper>(options.models, options.name, options.lanes, keeper_inbox, control_inbox, keeper_poller));
  const auto budget = std::make_shared<MemoryBudget>(options.memory_bytes != 0 ? options.memory_bytes : host_memory_bytes() / 4 * 3);
  std::vector<std::shared_ptr<LaneInbox>> inboxes;
  for (std::uint32_t i = 0; i < options.lanes; ++i) {
    std::shared_ptr<net::Poller> poller = runtime.transport.poller();
    inboxes.push_back(std::make_shared<LaneInbox>(poller));
    const LaneOptions lane{i, options.lanes, options.report_ms, kSpareBytes / options.lanes};
    runtime.executor.start(fmt::format("{}/lane{}", options.name, i),
                           std::make_unique<Lane>(lane, std::move(listeners[i]), std::move(poller), inboxes.back(), control_inbox, keeper_inbox, budget,
                                                  runtime.transport, runtime.clock));
  }
  runtime.executor.start(fmt::format("{}/control", options.name), std::make_unique<Control>(options, std::move(addresses), std::move(inboxes), control_inbox,
                                                                                            std::move(*manager), std::move(control_poller), runtime.clock));
  return {};
}

}  // namespace sluice::server
