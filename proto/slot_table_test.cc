#include "proto/slot_table.h"

#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"

namespace sluice::proto {
namespace {

SlotTable made_table() {
  SlotTable table;
  table.version = RingVersion(3);
  table.servers = {{ServerId(1), "a", {"ipc:///a/0", "ipc:///a/1"}}, {ServerId(4), "b", {"tcp://b:1"}}};
  for (std::uint32_t i = 0; i < kHashSlots; ++i) table.slots.push_back({ServerId(i % 2 == 0 ? 1 : 4), Term(i + 1), {}});
  table.slots[5].replicas = {ServerId(1)};
  table.expired_floor = Incarnation(10);
  table.expired = {Incarnation(12), Incarnation(11)};
  return table;
}

TEST(SlotTable, HashSlotsSpread) {
  std::set<std::uint16_t> seen;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    const auto slot = hash_slot(JobId(1), TableId(0), ShardId(i));
    ASSERT_LT(slot.value, kHashSlots);
    seen.insert(slot.value);
  }
  EXPECT_GT(seen.size(), 1800U);  // 2000 balls into 16384 bins leave about 1881 bins hit
  EXPECT_EQ(home_slot(JobId(9)), hash_slot(JobId(9), TableId(0xffffffff), ShardId(0)));
}

TEST(SlotTable, LooksUpLanesAndExpiredIncarnations) {
  const SlotTable table = made_table();
  EXPECT_EQ(table.lane_address(HashSlot(0)), "ipc:///a/0");
  EXPECT_EQ(table.lane_address(HashSlot(2)), "ipc:///a/0");
  EXPECT_EQ(table.lane_address(HashSlot(1)), "tcp://b:1");
  EXPECT_EQ(table.server(ServerId(2)), nullptr);
  EXPECT_EQ(table.server(ServerId(4))->name, "b");
  for (const std::uint64_t expired : {1, 9, 11, 12}) EXPECT_TRUE(table.is_expired(Incarnation(expired))) << expired;
  for (const std::uint64_t alive : {10, 13}) EXPECT_FALSE(table.is_expired(Incarnation(alive))) << alive;
}

TEST(SlotTable, RoundTrips) {
  EXPECT_EQ(slot_table_from_bytes(encode(made_table())), made_table());
  EXPECT_EQ(slot_table_from_bytes(encode(SlotTable{})), SlotTable{});
}

TEST(SlotTable, AnyChangedByteIsMalformed) {
  const std::string good = encode(made_table());
  SeededRng rng(1);
  for (int i = 0; i < 500; ++i) {
    std::string bad = good;
    bad[i < 100 ? static_cast<std::size_t>(i) : rng.below(bad.size())] ^= static_cast<char>(1 << rng.below(8));
    EXPECT_FALSE(slot_table_from_bytes(bad));
    bad = good.substr(0, i < 100 ? static_cast<std::size_t>(i) : rng.below(good.size()));
    EXPECT_FALSE(slot_table_from_bytes(bad));
  }
}

TEST(SlotTable, ALyingPeerWithARightChecksumIsMalformed) {
  SlotTable table = made_table();
  table.slots[7].primary = ServerId(2);
  EXPECT_FALSE(slot_table_from_bytes(encode(table)));
  table = made_table();
  table.slots.pop_back();
  EXPECT_FALSE(slot_table_from_bytes(encode(table)));
  table = made_table();
  table.servers[1].lanes.clear();
  EXPECT_FALSE(slot_table_from_bytes(encode(table)));
  table = made_table();
  std::swap(table.servers[0], table.servers[1]);
  EXPECT_FALSE(slot_table_from_bytes(encode(table)));
  table = made_table();
  table.slots[7].replicas.assign(9, ServerId(1));
  EXPECT_FALSE(slot_table_from_bytes(encode(table)));
}

}  // namespace
}  // namespace sluice::proto
