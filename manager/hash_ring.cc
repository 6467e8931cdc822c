#include "manager/hash_ring.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "base/assert.h"
#include "base/rng.h"
#include "proto/slot_table.h"

namespace sluice::manager {
namespace {

using proto::kHashSlots;

double capacity_sum(std::span<const RingServer> servers) {
  // Summed in order of id: floating-point sums depend on the order, and the placement must not.
  std::vector<std::pair<ServerId, double>> all;
  for (const RingServer& s : servers) all.emplace_back(s.id, s.capacity);
  std::sort(all.begin(), all.end());
  double sum = 0;
  for (const auto& [id, capacity] : all) sum += capacity;
  return sum;
}

double share_of(std::span<const RingServer> servers, ServerId server) {
  for (const RingServer& s : servers)
    if (s.id == server) return s.capacity / capacity_sum(servers);
  SLUICE_ASSERT(!"the server is one of the ring's");
  return 0;
}

/// The circle of virtual nodes.
class Ring {
 public:
  Ring(std::span<const RingServer> servers, const RingOptions& options) {
    SLUICE_ASSERT(!servers.empty() && options.virtual_nodes > 0 && options.load_bound > 0);
    const double mean = capacity_sum(servers) / static_cast<double>(servers.size());
    for (const RingServer& s : servers) {
      SLUICE_ASSERT(s.capacity > 0);
      const auto count = std::max<std::int64_t>(1, std::llround(options.virtual_nodes * s.capacity / mean));
      for (std::int64_t i = 0; i < count; ++i) nodes_.push_back({XXH3_64bits_withSeed(s.name.data(), s.name.size(), static_cast<std::uint64_t>(i)), s.id});
    }
    std::sort(nodes_.begin(), nodes_.end());
  }
  /// Walks clockwise from the hash slot's point; the first server for which `takes` holds. REQUIRES: one does.
  template <class Takes>
  [[nodiscard]] ServerId walk(std::uint32_t slot, const Takes& takes) const {
    const Node from{mix64(slot), ServerId{0}};
    const auto first = static_cast<std::size_t>(std::lower_bound(nodes_.begin(), nodes_.end(), from) - nodes_.begin());
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const ServerId server = nodes_[(first + i) % nodes_.size()].server;
      if (takes(server)) return server;
    }
    SLUICE_ASSERT(!"the bounds add up to more than the hash slots, so one server has room");
    return {};
  }

 private:
  struct Node {
    std::uint64_t at;
    ServerId server;
    auto operator<=>(const Node&) const = default;
  };
  std::vector<Node> nodes_;
};

using Counts = std::unordered_map<ServerId, std::uint32_t>;

Counts bounds_of(std::span<const RingServer> servers, const RingOptions& options) {
  Counts bounds;
  for (const RingServer& s : servers) bounds[s.id] = slot_bound(servers, s.id, options);
  return bounds;
}

Counts loads_of(const Placement& placement) {
  Counts loads;
  for (const ServerId server : placement) ++loads[server];
  return loads;
}

}  // namespace

std::uint32_t slot_bound(std::span<const RingServer> servers, ServerId server, const RingOptions& options) {
  return static_cast<std::uint32_t>(std::ceil((1 + options.load_bound) * kHashSlots * share_of(servers, server)));
}

std::uint32_t slot_share(std::span<const RingServer> servers, ServerId server) {
  return static_cast<std::uint32_t>(std::ceil(kHashSlots * share_of(servers, server)));
}

Placement place_slots(std::span<const RingServer> servers, const RingOptions& options) {
  const Ring ring(servers, options);
  Counts bounds = bounds_of(servers, options);
  Counts loads;
  Placement placement(kHashSlots);
  for (std::uint32_t slot = 0; slot < kHashSlots; ++slot) {
    placement[slot] = ring.walk(slot, [&](ServerId s) { return loads[s] < bounds[s]; });
    ++loads[placement[slot]];
  }
  return placement;
}

Placement place_join(const Placement& now, std::span<const RingServer> servers, ServerId newcomer, const RingOptions& options) {
  SLUICE_ASSERT(now.size() == kHashSlots);
  const Ring ring(servers, options);
  Counts bounds = bounds_of(servers, options);
  Counts loads = loads_of(now);
  const std::uint32_t share = slot_share(servers, newcomer);
  Placement next = now;
  const auto move = [&](std::uint32_t slot) {
    --loads[next[slot]];
    ++loads[newcomer];
    next[slot] = newcomer;
  };
  for (std::uint32_t slot = 0; slot < kHashSlots && loads[newcomer] < share; ++slot)
    if (next[slot] != newcomer && ring.walk(slot, [](ServerId) { return true; }) == newcomer) move(slot);
  for (std::uint32_t slot = 0; slot < kHashSlots && loads[newcomer] < share; ++slot)
    if (next[slot] != newcomer && loads[next[slot]] > bounds[next[slot]]) move(slot);
  return next;
}

Placement place_leave(const Placement& now, std::span<const RingServer> servers, ServerId leaver, const RingOptions& options) {
  SLUICE_ASSERT(now.size() == kHashSlots);
  const Ring ring(servers, options);
  Counts bounds = bounds_of(servers, options);
  Counts loads = loads_of(now);
  Placement next = now;
  for (std::uint32_t slot = 0; slot < kHashSlots; ++slot) {
    if (next[slot] != leaver) continue;
    next[slot] = ring.walk(slot, [&](ServerId s) { return loads[s] < bounds[s]; });
    ++loads[next[slot]];
  }
  return next;
}

}  // namespace sluice::manager
