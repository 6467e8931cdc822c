#include "manager/hash_ring.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/rng.h"
#include "proto/slot_table.h"

namespace sluice::manager {
namespace {

constexpr std::uint32_t kCounts[] = {1, 2, 3, 5, 8, 16, 33, 100};
constexpr std::uint64_t kRingSeeds = 6;

/// Servers of a cluster named from a seed; with `weighted`, of capacities 0.5 … 4.
std::vector<RingServer> cluster(std::uint32_t count, std::uint64_t seed, bool weighted) {
  std::vector<RingServer> servers;
  for (std::uint32_t i = 0; i < count; ++i)
    servers.push_back({ServerId{i + 1}, fmt::format("s{}", mix64(seed, i)), weighted ? 0.5 + 3.5 * unit_double(mix64(seed + 77, i)) : 1.0});
  return servers;
}

std::map<ServerId, std::uint32_t> loads(const Placement& placement) {
  std::map<ServerId, std::uint32_t> out;
  for (const ServerId s : placement) ++out[s];
  return out;
}

template <class Check>
void over_clusters(const Check& check) {
  for (const std::uint32_t count : kCounts)
    for (std::uint64_t seed = 0; seed < kRingSeeds; ++seed)
      for (const bool weighted : {false, true}) {
        SCOPED_TRACE(testing::Message() << count << " servers, seed " << seed << (weighted ? ", weighted" : ""));
        check(cluster(count, seed, weighted));
      }
}

TEST(HashRing, AtCreationNoServerHoldsMoreThanItsBound) {
  over_clusters([](const std::vector<RingServer>& servers) {
    for (const double bound : {0.02, 0.1, 0.5}) {
      const RingOptions options{.virtual_nodes = 64, .load_bound = bound};
      const Placement placement = place_slots(servers, options);
      ASSERT_EQ(placement.size(), proto::kHashSlots);
      for (const auto& [server, load] : loads(placement)) EXPECT_LE(load, slot_bound(servers, server, options));
    }
  });
}

TEST(HashRing, TheOrderInWhichServersAreNamedDoesNotMatter) {
  auto servers = cluster(8, 3, true);
  const Placement placement = place_slots(servers, {});
  std::reverse(servers.begin(), servers.end());
  EXPECT_EQ(place_slots(servers, {}), placement);
}

TEST(HashRing, AJoinMovesSlotsOnlyToTheNewcomerAndAtMostItsShare) {
  over_clusters([](std::vector<RingServer> servers) {
    const Placement before = place_slots(servers, {});
    const ServerId newcomer{9000};
    servers.push_back({newcomer, "newcomer", 1.0});
    const Placement after = place_join(before, servers, newcomer, {});
    std::uint32_t moved = 0;
    for (std::uint32_t slot = 0; slot < proto::kHashSlots; ++slot) {
      if (before[slot] == after[slot]) continue;
      ASSERT_EQ(after[slot], newcomer);
      ++moved;
    }
    EXPECT_LE(moved, slot_share(servers, newcomer));
    EXPECT_GE(moved, slot_share(servers, newcomer) / 3);  // a join that moved nothing would be no join
  });
}

TEST(HashRing, ALeaveMovesOnlyTheLeaversSlots) {
  over_clusters([](std::vector<RingServer> servers) {
    if (servers.size() < 2) return;
    const Placement before = place_slots(servers, {});
    const ServerId leaver = servers[servers.size() / 2].id;
    std::erase_if(servers, [&](const RingServer& s) { return s.id == leaver; });
    const Placement after = place_leave(before, servers, leaver, {});
    for (std::uint32_t slot = 0; slot < proto::kHashSlots; ++slot) {
      EXPECT_NE(after[slot], leaver);
      if (before[slot] != leaver) { ASSERT_EQ(after[slot], before[slot]); }
    }
    for (const auto& [server, load] : loads(after)) EXPECT_LE(load, slot_bound(servers, server, {}));
  });
}

TEST(HashRing, JoinsAndLeavesInAnyOrderNeverLoseASlot) {
  SeededRng rng(11);
  std::vector<RingServer> servers = cluster(3, 5, true);
  Placement placement = place_slots(servers, {});
  for (std::uint32_t i = 0; i < 60; ++i) {
    if (servers.size() == 1 || rng.below(2) == 0) {
      servers.push_back({ServerId{100 + i}, fmt::format("j{}", i), 0.5 + rng.uniform()});
      placement = place_join(placement, servers, servers.back().id, {});
    } else {
      const auto at = static_cast<std::ptrdiff_t>(rng.below(servers.size()));
      const ServerId leaver = servers[static_cast<std::size_t>(at)].id;
      servers.erase(servers.begin() + at);
      placement = place_leave(placement, servers, leaver, {});
    }
    for (const auto& [server, load] : loads(placement))
      EXPECT_TRUE(std::any_of(servers.begin(), servers.end(), [&, id = server](const RingServer& s) { return s.id == id; })) << load;
  }
}

}  // namespace
}  // namespace sluice::manager
