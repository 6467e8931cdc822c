#include "manager/membership.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "proto/slot_table.h"

namespace sluice::manager {
namespace {

using proto::Role;

proto::Register worker(const std::string& name, std::uint32_t slots) { return {Role::kWorker, name, "host", "1", {}, slots}; }
proto::Register server(const std::string& name) { return {Role::kServer, name, "host", "1", {"tcp://1"}, 0}; }
net::PeerId peer(const std::string& id) { return {id}; }
constexpr Instant at(std::int64_t ms) { return Instant{ms * 1'000'000}; }

class MembershipTest : public testing::Test {
 protected:
  Membership members{from_ms(800)};
};

TEST_F(MembershipTest, ARepeatedRegistrationGivesTheSameMember) {
  const auto first = members.add(worker("w", 2), peer("p"), 1, at(0));
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->fresh);
  const auto clients = first->member->clients;
  EXPECT_EQ(clients.size(), 2U);
  const auto repeat = members.add(worker("w", 2), peer("p"), 1, at(10));
  ASSERT_TRUE(repeat);
  EXPECT_FALSE(repeat->fresh);
  EXPECT_EQ(repeat->member->clients, clients);
  // A late copy must not take the membership away either, even after heartbeats.
  EXPECT_NE(members.heartbeat({first->member->id, Role::kWorker, 0}, peer("p"), at(100)), nullptr);
  EXPECT_FALSE(members.add(worker("w", 2), peer("p"), 1, at(110))->fresh);
}

TEST_F(MembershipTest, AMemberThatRegistersAnewGetsOtherIncarnationsAndTheOldExpire) {
  const auto first = *members.add(worker("w", 2), peer("p"), 1, at(0));
  const auto old = first.member->clients;
  (void)members.heartbeat({first.member->id, Role::kWorker, 0}, peer("p"), at(100));
  const auto again = members.add(worker("w", 2), peer("p"), 7, at(200));
  ASSERT_TRUE(again);
  ASSERT_TRUE(again->replaced);
  EXPECT_EQ(again->replaced->clients, old);
  EXPECT_EQ(again->member->id, again->replaced->id);
  EXPECT_GT(members.expired_floor(), old.back());
}

TEST_F(MembershipTest, ANameIsOnePersonsUntilItIsSilent) {
  const auto first = *members.add(worker("w", 1), peer("p"), 1, at(0));
  (void)members.heartbeat({first.member->id, Role::kWorker, 0}, peer("p"), at(100));
  EXPECT_EQ(members.add(worker("w", 1), peer("q"), 1, at(200)).error().code, Errc::kFull) << "perhaps killed and started again: later";
  for (const int ms : {300, 500}) (void)members.heartbeat({first.member->id, Role::kWorker, 0}, peer("p"), at(ms));
  EXPECT_EQ(members.add(worker("w", 1), peer("q"), 2, at(600)).error().code, Errc::kDenied) << "alive";
  // Killed, and started again at once; one heartbeat was still under way.
  EXPECT_EQ(members.add(worker("w", 1), peer("r"), 1, at(650)).error().code, Errc::kFull);
  (void)members.heartbeat({first.member->id, Role::kWorker, 0}, peer("p"), at(700));
  EXPECT_EQ(members.add(worker("w", 1), peer("r"), 2, at(850)).error().code, Errc::kFull);
  EXPECT_TRUE(members.expire(at(1500)).empty());
  ASSERT_EQ(members.expire(at(1501)).size(), 1U);
  const auto second = members.add(worker("w", 1), peer("r"), 3, at(1550));
  ASSERT_TRUE(second);
  EXPECT_EQ(second->member->id, first.member->id);
  EXPECT_EQ(members.heartbeat({77, Role::kWorker, 0}, peer("p"), at(1560)), nullptr);
  EXPECT_TRUE(members.add(server("w"), peer("s"), 1, at(1570))) << "a server may have a worker's name";
}

TEST_F(MembershipTest, AServerMayBeSilentForLonger) {
  ASSERT_TRUE(members.add(server("s"), peer("p"), 1, at(0)));
  ASSERT_TRUE(members.add(worker("w", 1), peer("q"), 1, at(0)));
  EXPECT_EQ(members.expire(members.next_expiry()).size(), 1U) << "the worker";
  EXPECT_EQ(members.next_expiry(), at(4000) + Duration{1});
  EXPECT_TRUE(members.expire(at(4000)).empty());
  EXPECT_EQ(members.expire(at(4001)).size(), 1U);
}

TEST_F(MembershipTest, AnExcuseReachesNoFurtherThanNow) {
  const auto first = *members.add(worker("w", 1), peer("p"), 1, at(0));
  // The manager stood still for an hour; the first thing it reads is a heartbeat, and then the worker dies.
  (void)members.heartbeat({first.member->id, Role::kWorker, 0}, peer("p"), at(3'600'000));
  members.excuse(from_ms(3'600'000));
  EXPECT_TRUE(members.expire(at(3'600'000)).empty());
  EXPECT_EQ(members.next_expiry(), at(3'600'800) + Duration{1});
  EXPECT_TRUE(members.expire(at(3'600'800)).empty());
  EXPECT_EQ(members.expire(at(3'600'801)).size(), 1U);
}

TEST_F(MembershipTest, NonsenseIsRefusedInWords) {
  for (const auto& bad :
       {worker("", 1), worker("../x", 1), worker("w", 0), worker("w", 1 << 20), proto::Register{Role::kServer, "s", "h", "1", {}, 0},
        proto::Register{Role::kServer, "s", "h", "1", {""}, 0}, proto::Register{Role::kServer, "s", "h", "1", std::vector<std::string>(300, "x"), 0}}) {
    const auto refused = members.add(bad, peer("p"), 1, at(0));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::kBadConfig);
    EXPECT_FALSE(refused.error().what.empty());
  }
}

TEST_F(MembershipTest, IncarnationsAreNeverReusedNotEvenByALaterManager) {
  std::set<Incarnation> given;
  std::string stored;
  for (int life = 0; life < 4; ++life) {
    Membership m(from_ms(800));
    if (!stored.empty()) { ASSERT_TRUE(m.restore(stored)); }
    for (std::uint32_t i = 0; i < 40; ++i) {
      const auto joined = m.add(worker("w" + std::to_string(i), 200), peer("p" + std::to_string(i)), 1, at(i));
      ASSERT_TRUE(joined);
      for (const Incarnation c : joined->member->clients) EXPECT_TRUE(given.insert(c).second);
      if (m.take_dirty()) stored = m.stored();  // what is durable when the answer goes out
    }
  }
}

/// Expired means: given out once, and not alive. Whatever comes and goes.
TEST_F(MembershipTest, ExactlyTheDeadIncarnationsAreExpired) {
  SeededRng rng(3);
  std::set<Incarnation> alive, dead;
  std::int64_t ms = 0;
  for (int i = 0; i < 400; ++i) {
    ms += 100;
    const std::string name = "w" + std::to_string(rng.below(12));
    if (const auto joined = members.add(worker(name, 1 + static_cast<std::uint32_t>(rng.below(3))), peer(name + std::to_string(i)), 1, at(ms));
        joined && joined->fresh)
      alive.insert(joined->member->clients.begin(), joined->member->clients.end());
    for (const auto& [id, member] : members.of(Role::kWorker))
      if (rng.below(4) == 0) (void)members.heartbeat({id, Role::kWorker, 0}, member.peer, at(ms));
    for (const Member& gone : members.expire(at(ms)))
      for (const Incarnation c : gone.clients) alive.erase(c), dead.insert(c);
    proto::SlotTable table;
    table.expired_floor = members.expired_floor();
    table.expired = members.expired();
    for (const Incarnation c : alive) ASSERT_FALSE(table.is_expired(c));
    for (const Incarnation c : dead) ASSERT_TRUE(table.is_expired(c));
  }
  EXPECT_GT(dead.size(), 20U);
}

}  // namespace
}  // namespace sluice::manager
