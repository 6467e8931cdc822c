#pragma once
/// Where the 16384 hash slots are placed: consistent hashing with virtual nodes and bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA'18; capacity weights).
/// Pure functions: the slot table is durable state, made once by `place_slots` and then only changed by joins and leaves, never computed anew from the
/// membership.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"

namespace sluice::manager {

struct RingServer {
  ServerId id;
  std::string name;     ///< where its virtual nodes are follows from the name alone
  double capacity = 1;  ///< weight, > 0: its share is capacity / sum of capacities
};

struct RingOptions {
  std::uint32_t virtual_nodes = 64;  ///< per server of mean capacity, ≥ 1
  double load_bound = 0.1;           ///< ε > 0
};

/// The primary of each hash slot, by its number: kHashSlots entries.
using Placement = std::vector<ServerId>;

/// The most hash slots `server` may hold: ceil((1 + ε) × kHashSlots × its share).
[[nodiscard]] std::uint32_t slot_bound(std::span<const RingServer> servers, ServerId server, const RingOptions& options);
/// The share of `server`, rounded up: the most a join may move to it.
[[nodiscard]] std::uint32_t slot_share(std::span<const RingServer> servers, ServerId server);

/// Each hash slot goes clockwise to the first server with room: every load ≤ slot_bound. The order of `servers` does not matter. REQUIRES: servers not empty,
/// ids and names distinct.
[[nodiscard]] Placement place_slots(std::span<const RingServer> servers, const RingOptions& options);
/// `servers` includes the newcomer. Moves slots only to the newcomer, at most slot_share: those for which it is the first server clockwise, then, while it has
/// room, those of servers above their new bound.
[[nodiscard]] Placement place_join(const Placement& now, std::span<const RingServer> servers, ServerId newcomer, const RingOptions& options);
/// `servers` are those that stay (at least one). Moves the leaver's slots only, each clockwise to the first server with room.
[[nodiscard]] Placement place_leave(const Placement& now, std::span<const RingServer> servers, ServerId leaver, const RingOptions& options);

}  // namespace sluice::manager
