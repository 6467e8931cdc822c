#include "manager/ring_keeper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

namespace sluice::manager {
namespace {

class RingKeeperTest : public testing::Test {
 protected:
  Membership members{from_ms(160)};
  RingKeeper ring{2, {}};
  Instant now{};
  int peers = 0;

  std::uint32_t join(const std::string& name, const std::string& lane = "inproc://a") {
    const auto joined = members.add({proto::Role::kServer, name, "host", "1", {lane}, 0}, {fmt::format("p{}", ++peers)}, 1, now);
    EXPECT_TRUE(joined);
    return joined->member->id;
  }
  /// All but `stay` fall silent.
  void leave(const std::set<std::uint32_t>& stay) {
    now = now + from_ms(600);
    for (const std::uint32_t id : stay) (void)members.heartbeat({id, proto::Role::kServer, 0}, members.find(proto::Role::kServer, id)->peer, now);
    now = now + from_ms(600);
    (void)members.expire(now);
  }
  [[nodiscard]] std::set<ServerId> owners() const {
    std::set<ServerId> out;
    for (const auto& slot : ring.table().slots) out.insert(slot.primary);
    return out;
  }
};

TEST_F(RingKeeperTest, TheTableIsMadeOnceEnoughServersAreThere) {
  join("s1");
  EXPECT_FALSE(ring.update(members, true));
  EXPECT_EQ(ring.waiting_for(members), "waiting for servers 1/2");
  join("s2");
  EXPECT_TRUE(ring.update(members, true));
  EXPECT_EQ(ring.waiting_for(members), "");
  EXPECT_EQ(ring.table().version, RingVersion{1});
  EXPECT_EQ(owners().size(), 2U);
  EXPECT_FALSE(ring.update(members, true)) << "nothing changed";
  const auto read = proto::slot_table_from_bytes(ring.bytes());
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, ring.table());
}

TEST_F(RingKeeperTest, ServersJoinAndLeaveOnlyWhileNoJobIsLive) {
  const std::uint32_t first = join("s1"), second = join("s2");
  (void)ring.update(members, true);
  const auto before = ring.table().slots;
  join("s3");
  EXPECT_FALSE(ring.update(members, false));
  EXPECT_EQ(ring.table().slots, before);
  EXPECT_TRUE(ring.update(members, true));
  EXPECT_EQ(owners().size(), 3U);
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(ring.table().slots[i].term.value, ring.table().slots[i].primary == before[i].primary ? 1U : 2U);
  leave({first, second});
  EXPECT_FALSE(ring.update(members, false));
  EXPECT_EQ(ring.waiting_for(members), "waiting for servers 2/3: s3 is not there");
  EXPECT_TRUE(ring.update(members, true));
  EXPECT_EQ(owners().size(), 2U);
  EXPECT_EQ(ring.waiting_for(members), "");
}

TEST_F(RingKeeperTest, AServerThatComesBackElsewhereKeepsItsSlots) {
  const std::uint32_t first = join("s1");
  join("s2", "inproc://b");
  (void)ring.update(members, true);
  const auto before = ring.table().slots;
  leave({first});
  join("s2", "inproc://c");
  EXPECT_TRUE(ring.update(members, false));
  EXPECT_EQ(ring.table().slots, before);
  EXPECT_EQ(ring.table().servers[1].lanes[0], "inproc://c");
  EXPECT_EQ(ring.table().version, RingVersion{2});
}

TEST_F(RingKeeperTest, WithNobodyLeftTheTableStays) {
  join("s1");
  join("s2");
  (void)ring.update(members, true);
  leave({});
  (void)ring.update(members, true);
  EXPECT_EQ(owners().size(), 2U);
  EXPECT_EQ(ring.waiting_for(members).substr(0, 23), "waiting for servers 0/2");
}

TEST_F(RingKeeperTest, AnExpiredIncarnationIsANewRingVersion) {
  const std::uint32_t first = join("s1"), second = join("s2");
  const auto worker = *members.add({proto::Role::kWorker, "w", "host", "1", {}, 3}, {"w"}, 1, now);
  const auto clients = worker.member->clients;
  (void)ring.update(members, true);
  const RingVersion version = ring.table().version;
  leave({first, second});
  EXPECT_TRUE(ring.update(members, false));
  EXPECT_GT(ring.table().version, version);
  for (const Incarnation c : clients) EXPECT_TRUE(ring.table().is_expired(c));
}

}  // namespace
}  // namespace sluice::manager
