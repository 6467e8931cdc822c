/// Held updates: what a clock makes of them, and a server that holds and applies them while messages are repeated, late and of the dead.

#include "server/detail/held_updates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/rng.h"
#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {

using proto::Outcome;
using proto::PushKind;
using testing::ElementsAre;
using testing::HasSubstr;

proto::ApplySlot part(std::uint64_t client, std::uint64_t batch, std::uint32_t rows) { return {Incarnation(client), batch, rows}; }

TEST(HeldUpdates, AnyOrderOfArrivalGivesTheSameBits) {
  SeededRng rng(1);
  constexpr std::size_t kFloats = 257;
  std::array<HeldUpdate, 4> dense, sparse;
  for (std::size_t s = 0; s < 4; ++s) {
    dense[s] = sparse[s] = {PushKind::kGradient, s + 5, {}, {}};
    for (std::size_t i = 0; i < kFloats; ++i) dense[s].values.push_back(static_cast<float>(rng.uniform() * 1e3 - 400));
    for (Key key = 0; key < 40; ++key) {
      if (rng.below(2) == 0) continue;
      sparse[s].keys.push_back(key);
      for (int k = 0; k < 3; ++k) sparse[s].values.push_back(static_cast<float>(rng.uniform() * 1e3 - 400));
    }
  }
  const std::vector<proto::ApplySlot> slots = {part(1, 5, 20), part(2, 6, 7), part(3, 7, 20), part(4, 8, 13)};
  std::array<std::size_t, 4> order{0, 1, 2, 3};
  std::optional<CombinedUpdate> first_dense, first_sparse;
  do {
    HeldUpdates a, b;
    for (const std::size_t s : order) a.hold(Incarnation(s + 1), dense[s]), b.hold(Incarnation(s + 1), sparse[s]);
    const auto whole = *a.combine(slots, false, 0), rows = *b.combine(slots, false, 3);
    if (!first_dense) {
      first_dense = whole, first_sparse = rows;
      for (std::size_t i = 0; i < kFloats; ++i) {
        double mean = 0;
        for (std::size_t s = 0; s < 4; ++s) mean += static_cast<double>(dense[s].values[i]) * slots[s].rows / 60.0;
        ASSERT_NEAR(whole->values[i], mean, 1e-3);
      }
    }
    ASSERT_EQ(whole->values, first_dense->values);
    ASSERT_EQ(rows->values, first_sparse->values);
    ASSERT_EQ(rows->keys, first_sparse->keys);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(HeldUpdates, MeansAreOfTheRowsAndSumsAreSums) {
  HeldUpdates held;
  held.hold(Incarnation(1), {PushKind::kGradient, 1, {}, {4, 8}});
  held.hold(Incarnation(2), {PushKind::kGradient, 1, {}, {8, 0}});
  const std::vector<proto::ApplySlot> slots = {part(1, 1, 30), part(2, 1, 10)};
  EXPECT_THAT((*held.combine(slots, false, 0))->values, ElementsAre(5, 6));
  EXPECT_THAT((*held.combine(slots, true, 0))->values, ElementsAre(12, 8));
  for (const auto kind : {PushKind::kDelta, PushKind::kAverage}) {
    held.hold(Incarnation(1), {kind, 1, {}, {4, 8}});
    held.hold(Incarnation(2), {kind, 1, {}, {8, 0}});
    const auto both = **held.combine(slots, false, 0);
    EXPECT_EQ(both.kind, PushKind::kDelta);
    EXPECT_EQ(both.values, kind == PushKind::kDelta ? (std::vector<float>{12, 8}) : (std::vector<float>{5, 6}));
  }
}

TEST(HeldUpdates, ASparseRowThatASlotDidNotTouchCountsAsZeroAndAKeyMayComeTwice) {
  HeldUpdates held;
  held.hold(Incarnation(1), {PushKind::kGradient, 1, {9, 3, 9}, {2, 4, 6}});
  held.hold(Incarnation(2), {PushKind::kGradient, 1, {3}, {8}});
  const auto both = **held.combine(std::vector{part(1, 1, 10), part(2, 1, 10)}, false, 1);
  EXPECT_THAT(both.keys, ElementsAre(3, 9));
  EXPECT_THAT(both.values, ElementsAre(6, 4));
}

TEST(HeldUpdates, OnlyTheNamedBatchOfANamedClientCounts) {
  HeldUpdates held;
  held.hold(Incarnation(1), {PushKind::kGradient, 1, {}, {100}});
  held.hold(Incarnation(1), {PushKind::kGradient, 2, {}, {3}});
  held.hold(Incarnation(2), {PushKind::kGradient, 1, {}, {100}});
  EXPECT_EQ(held.size(), 2U) << "one a client";
  EXPECT_THAT((*held.combine(std::vector{part(1, 2, 10)}, false, 0))->values, ElementsAre(3));
  EXPECT_EQ(held.combine(std::vector{part(1, 3, 10)}, false, 0).error().code, Errc::kInternal) << "a dense update that was acknowledged is there";
  EXPECT_FALSE(held.combine(std::vector{part(1, 3, 10)}, true, 0)->has_value()) << "a table that batches only read";
  EXPECT_EQ(held.combine(std::vector{part(1, 2, 10), part(2, 9, 10)}, true, 0).error().code, Errc::kInternal) << "some, not all";
  EXPECT_FALSE(held.combine(std::vector{part(1, 3, 10)}, false, 1)->has_value()) << "a sparse one need not touch this shard";
  held.hold(Incarnation(2), {PushKind::kDelta, 1, {}, {1}});
  EXPECT_THAT(held.combine(std::vector{part(1, 2, 10), part(2, 1, 10)}, false, 0).error().what, HasSubstr("different kinds"));
}

struct TwoLanes : Harness {
  TwoLanes() { options.lanes = 2; }
};

TEST(HeldUpdates, StateGoesTheWayOfItsValues) {
  HeldUpdates held;
  held.hold(Incarnation(1), {PushKind::kAverage, 1, {4, 9}, {1, 10, 2, 20}, true});
  held.hold(Incarnation(2), {PushKind::kAverage, 1, {9}, {6, 60}, true});
  const auto both = **held.combine(std::vector{part(1, 1, 10), part(2, 1, 30)}, false, 1, 1);
  EXPECT_TRUE(both.state);
  EXPECT_THAT(both.keys, ElementsAre(4, 9));
  EXPECT_THAT(both.values, ElementsAre(.25F, 2.5F, 5, 50)) << "means weighted by rows";
  held.hold(Incarnation(2), {PushKind::kAverage, 1, {9}, {6}, false});
  EXPECT_THAT(held.combine(std::vector{part(1, 1, 10), part(2, 1, 30)}, false, 1, 1).error().what, HasSubstr("different kinds"));
}

class HoldingServer : public testing::Test {
 protected:
  void SetUp() override {
    dense.holds = sparse.holds = true;
    harness.start();
    ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
    for (std::uint32_t lane = 0; lane < 2; ++lane) one.expect<proto::Done>(lane, proto::CreateTables{{dense, sparse}});
    while (sparse.shard_of(key) != ShardId(0)) ++key;
  }
  /// A held push of one number to the dense table, and of one row to the sparse one.
  Outcome push(TestClient& client, std::uint64_t sequence, std::uint64_t batch, float value, PushKind kind = PushKind::kGradient) {
    for (const std::uint32_t table : {0U, 1U}) {
      proto::Push push{kind, proto::AckLevel::kApplied, {section(table, 0, sequence, 1)}, batch};
      const auto payload = table == 0 ? frame_of({value}) : sparse_frame({key}, {value});
      const auto reply = client.expect<proto::PushReply>(harness.lane_of(kJob, TableId(table), ShardId(0)), push, {payload});
      text = reply.text;
      if (reply.sections[0].outcome != Outcome::kOk) return reply.sections[0].outcome;
    }
    return Outcome::kOk;
  }
  /// As the home sends it, to every lane.
  void apply(std::uint64_t clock, std::vector<proto::ApplySlot> slots) {
    TestClient home(harness, Incarnation(0), kJob);
    for (std::uint32_t lane = 0; lane < 2; ++lane) home.expect<proto::Done>(lane, proto::Apply{clock, 0, slots});
  }
  std::vector<float> values() {
    std::vector<float> out;
    for (const std::uint32_t table : {0U, 1U}) {
      std::vector<net::Frame> payload;
      if (table == 1) payload.push_back(sparse_frame({key}, {}));
      const auto answer = one.ask(harness.lane_of(kJob, TableId(table), ShardId(0)), proto::Pull{{section(table, 0, 0, table)}}, payload);
      if (!answer.payload.empty()) out.push_back(floats_in(answer.payload[0].bytes())[0]);
    }
    return out;
  }
  TwoLanes harness;
  proto::TableSpec dense = dense_spec(0, 1, "sgd"), sparse = sparse_spec(1, 10, 1, 4, "sgd");
  TestClient one{harness, Incarnation(1), kJob}, two{harness, Incarnation(2), kJob};
  Key key = 0;
  std::string text;
};

TEST_F(HoldingServer, NothingShowsBeforeItsClockIsAppliedAndThenOnce) {
  EXPECT_EQ(push(one, 1, 7, -10), Outcome::kOk);
  EXPECT_EQ(push(two, 1, 4, -30), Outcome::kOk);
  EXPECT_EQ(push(two, 1, 4, -30), Outcome::kOk) << "a repeat";
  EXPECT_THAT(values(), ElementsAre(0, 0));
  apply(0, {part(1, 7, 20), part(2, 4, 20)});
  EXPECT_THAT(values(), ElementsAre(2, 2)) << "one step of rate 0.1 along the mean";
  apply(0, {part(1, 7, 20), part(2, 4, 20)});
  EXPECT_EQ(push(two, 1, 4, -30), Outcome::kOk) << "a repeat that comes after all";
  apply(0, {part(1, 7, 20), part(2, 4, 20)});
  EXPECT_THAT(values(), ElementsAre(2, 2));
}

TEST_F(HoldingServer, ALateRepeatOfAnEarlierClockTakesNothingOfTheNext) {
  for (const std::uint64_t clock : {0U, 1U, 2U}) {
    EXPECT_EQ(push(one, clock + 1, clock + 1, -10), Outcome::kOk);
    for (std::uint64_t late = 0; late < clock; ++late) apply(late, {part(1, late + 1, 20)});
    apply(clock, {part(1, clock + 1, 20)});
    const float now = static_cast<float>(clock + 1);
    EXPECT_THAT(values(), ElementsAre(now, now));
  }
}

TEST_F(HoldingServer, WhatWasNotCommittedIsDroppedAtTheEndOfTheClock) {
  EXPECT_EQ(push(one, 1, 1, -1000), Outcome::kOk);  // its slot went away and came back: another batch
  EXPECT_EQ(push(one, 2, 2, -10), Outcome::kOk);
  EXPECT_EQ(push(two, 1, 1, -1000), Outcome::kOk);  // died before its commit
  apply(0, {part(1, 2, 20)});
  EXPECT_THAT(values(), ElementsAre(1, 1));
  EXPECT_EQ(push(one, 3, 3, -10), Outcome::kOk);
  EXPECT_EQ(push(two, 2, 2, -10), Outcome::kOk);
  apply(1, {part(1, 3, 20), part(2, 2, 20)});
  EXPECT_THAT(values(), ElementsAre(2, 2));
}

TEST_F(HoldingServer, ACommittedUpdateOfADeadClientIsApplied) {
  EXPECT_EQ(push(one, 1, 1, -10), Outcome::kOk);
  EXPECT_EQ(push(two, 1, 1, -30), Outcome::kOk);
  auto table = table_for(2, harness.lanes());
  table.expired = {Incarnation(2)};
  harness.manager->orders.table = table;
  (void)harness.run(1);
  apply(0, {part(1, 1, 20), part(2, 1, 20)});
  EXPECT_THAT(values(), ElementsAre(2, 2));
}

TEST_F(HoldingServer, AWrongUpdateIsRefusedWhenItIsPushedAndItsNumberIsConsumed) {
  EXPECT_EQ(push(one, 1, 1, std::numeric_limits<float>::quiet_NaN()), Outcome::kRejected);
  EXPECT_THAT(text, HasSubstr("float 0 of the update is nan"));
  EXPECT_EQ(push(one, 3, 1, -10), Outcome::kGap);
  const std::uint32_t lane = harness.lane_of(kJob, TableId(1), ShardId(0));
  proto::Push rows{PushKind::kGradient, proto::AckLevel::kApplied, {section(1, 0, 1, 11)}, 1};
  std::vector<Key> keys;
  for (Key k = key; keys.size() < 11; ++k) {
    if (sparse.shard_of(k) == ShardId(0)) keys.push_back(k);
  }
  const auto full = one.expect<proto::PushReply>(lane, rows, {sparse_frame(keys, std::vector<float>(11, 1))});
  EXPECT_EQ(full.sections[0].outcome, Outcome::kFull);
  apply(0, {});
  EXPECT_THAT(values(), ElementsAre(0, 0));
}

TEST_F(HoldingServer, TwoUpdatesThatOnlyTogetherAreTooManyRowsAreRefusedAtTheSecond) {
  const std::uint32_t lane = harness.lane_of(kJob, TableId(1), ShardId(0));
  std::vector<Key> keys;
  for (Key k = 0; keys.size() < 12; ++k) {
    if (sparse.shard_of(k) == ShardId(0)) keys.push_back(k);
  }
  const auto push_keys = [&](TestClient& client, std::size_t from, std::uint32_t n) {
    proto::Push rows{PushKind::kGradient, proto::AckLevel::kApplied, {section(1, 0, 1, n)}, 1};
    const std::vector<Key> some(keys.begin() + static_cast<std::ptrdiff_t>(from), keys.begin() + static_cast<std::ptrdiff_t>(from + n));
    return client.expect<proto::PushReply>(lane, rows, {sparse_frame(some, std::vector<float>(n, 1))}).sections[0].outcome;
  };
  EXPECT_EQ(push_keys(one, 0, 6), Outcome::kOk);
  EXPECT_EQ(push_keys(two, 6, 6), Outcome::kFull) << "an acknowledged update can always be applied";
}

TEST_F(HoldingServer, OnlyAJobWhoseTablesHoldCanMakeALaneHoldAnything) {
  one.envelope.job = JobId(8);
  const std::uint32_t lane = harness.lane_of(JobId(8), TableId(0), ShardId(0));
  one.expect<proto::Done>(lane, proto::CreateTables{{dense_spec(0, 1)}});
  const proto::Push held{PushKind::kGradient, proto::AckLevel::kApplied, {section(0, 0, 1, 1)}, 1};
  const auto refused = one.expect<proto::PushReply>(lane, held, {frame_of({5})});
  EXPECT_EQ(refused.sections[0].outcome, Outcome::kRejected);
  EXPECT_THAT(refused.text, HasSubstr("no push of this job is held"));
  one.expect<proto::Done>(lane, proto::Apply{0, 0, {}});
  const proto::Push plain{PushKind::kGradient, proto::AckLevel::kApplied, {section(0, 0, 2, 1)}, 0};
  EXPECT_EQ(one.expect<proto::PushReply>(lane, plain, {frame_of({3})}).sections[0].outcome, Outcome::kOk)
      << "the refusal consumed its number, and nothing else";
  const auto answer = one.ask(lane, proto::Pull{{section(0, 0, 0, 0)}}, {});
  EXPECT_THAT(floats_in(answer.payload.at(0).bytes()), ElementsAre(3));
}

/// Clients are whatever names a peer gives itself: what they make a lane hold is counted as the server's memory, and given back.
TEST(HoldingServerMemory, WhatIsHeldIsBoundedByTheServersMemory) {
  constexpr std::uint32_t kFloats = 1000;
  constexpr int kFit = 4;
  TwoLanes harness;
  harness.options.memory_bytes = kFloats * 4 + kFit * (kFloats * 4 + 128) + 100;
  harness.start();
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  auto table = dense_spec(0, kFloats);
  table.holds = true;
  const std::uint32_t lane = harness.lane_of(kJob, TableId(0), ShardId(0));
  TestClient first(harness, Incarnation(1), kJob);
  first.expect<proto::Done>(lane, proto::CreateTables{{table}});
  const auto push = [&](std::uint64_t id, std::uint64_t sequence, std::uint64_t batch) {
    TestClient client(harness, Incarnation(id), kJob);
    const proto::Push held{PushKind::kDelta, proto::AckLevel::kApplied, {section(0, 0, sequence, kFloats)}, batch};
    return client.expect<proto::PushReply>(lane, held, {net::Frame::from(std::vector<float>(kFloats, 1))});
  };
  for (std::uint64_t clock = 0; clock < 3; ++clock) {
    for (std::uint64_t id = 1; id <= kFit; ++id) EXPECT_EQ(push(clock * 100 + id, 1, 1).sections[0].outcome, Outcome::kOk);
    EXPECT_EQ(push(clock * 100 + 1, 2, 2).sections[0].outcome, Outcome::kOk) << "instead of its first";
    const auto refused = push(clock * 100 + 50, 1, 1);
    EXPECT_EQ(refused.sections[0].outcome, Outcome::kRejected);
    EXPECT_THAT(refused.text, HasSubstr("no memory is left to hold"));
    first.expect<proto::Done>(lane, proto::Apply{clock, 0, {part(clock * 100 + 1, 2, 1)}});
  }
  harness.manager->orders.ended = {kJob};
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->orders.ended.empty(); }));
  TestClient other(harness, Incarnation(999), JobId(9));
  auto large = dense_spec(0, kFloats + kFit * kFloats);
  other.expect<proto::Done>(harness.lane_of(JobId(9), TableId(0), ShardId(0)), proto::CreateTables{{large}});
}

TEST_F(HoldingServer, ACombinedUpdateThatIsNotFiniteIsAnErrorInWords) {
  one.envelope.job = two.envelope.job = JobId(8);
  auto sums = dense_spec(0, 1, "add");
  sums.holds = true;
  const std::uint32_t lane = harness.lane_of(JobId(8), TableId(0), ShardId(0));
  one.expect<proto::Done>(lane, proto::CreateTables{{sums}});
  for (TestClient* client : {&one, &two}) {
    const proto::Push huge{PushKind::kGradient, proto::AckLevel::kApplied, {section(0, 0, 1, 1)}, 1};
    EXPECT_EQ(client->expect<proto::PushReply>(lane, huge, {frame_of({3e38F})}).sections[0].outcome, Outcome::kOk);
  }
  const auto refused = one.expect<proto::Refused>(lane, proto::Apply{0, 0, {part(1, 1, 1), part(2, 1, 1)}});
  EXPECT_THAT(refused.text, HasSubstr("table 'dense-0' shard 0, clock 0: float 0 of the update is inf"));
}

}  // namespace
}  // namespace sluice::server
