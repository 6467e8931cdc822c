/// A job home under bsp.

#include "server/detail/open_clock.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <unordered_set>

#include "server/detail/home_client_test.h"

namespace sluice::server {
namespace {

using proto::HomeState;
using proto::LeaseKind;
using testing::HasSubstr;

/// bsp by search: every order in which three slots join, train, evaluate, leave and die, and in which clocks get applied. The home has no copy, so a state is
/// the path to it, walked again.
struct BspWorld {
  enum class Act : std::uint8_t { kJoin, kTrain, kEvaluate, kLeave, kDie, kApplied };
  static constexpr std::array kActs = {Act::kJoin, Act::kTrain, Act::kEvaluate, Act::kLeave, Act::kDie};
  struct Step {
    Act act;
    std::size_t slot;
  };

  explicit BspWorld(const proto::Join& j) : join(j), home(*JobHome::open(kHomeJob, 0, j)), rows(j.train_rows) {}

  [[nodiscard]] bool may_train(const Slot& slot) const {
    return slot.in && slot.lease.lease != 0 && slot.lease.kind == LeaseKind::kTrain && slot.clock <= slot.gate;
  }
  [[nodiscard]] bool possible(const Step& step) const {
    const Slot& slot = slots[step.slot];
    switch (step.act) {
      case Act::kJoin:
        return !slot.in && joins[step.slot] < 2 && !dead[step.slot];
      case Act::kTrain:
        return may_train(slot);
      case Act::kEvaluate:
        return slot.in && slot.lease.lease != 0 && slot.lease.kind == LeaseKind::kEvaluate;
      case Act::kLeave:
        return slot.in;
      case Act::kDie:
        return slot.in && !dead[0] && !dead[1] && !dead[2];
      case Act::kApplied:
        return under_way.has_value();
    }
    return false;
  }
  void train(Slot& slot) {
    auto commit = slot.next_commit(1, false);
    commit.batch = ++batches;
    const auto reply = home->commit(slot.id, commit, Instant{1});
    ASSERT_TRUE(reply) << reply.error().what;
    ASSERT_EQ(*home->commit(slot.id, commit, Instant{1}), *reply) << "a repeat changes nothing";
    open_clock.push_back({slot.id, commit.batch, commit.examples});
    ++slot.clock, ++slot.sequence, slot.gate = reply->gate;
    slot.lease.offset = commit.offset;
    if (slot.lease.offset == slot.lease.rows) slot.lease = {};
  }
  void take(const Step& step) {
    Slot& slot = slots[step.slot];
    switch (step.act) {
      case Act::kJoin:
        ++joins[step.slot];
        slot.join(*home, join);
        break;
      case Act::kTrain:
        train(slot);
        break;
      case Act::kEvaluate:
        for (const Slot& other : slots) ASSERT_FALSE(other.lease.lease != 0 && other.lease.kind == LeaseKind::kTrain) << "scored while others train";
        ASSERT_TRUE(open_clock.empty() && !under_way) << "scored before a clock was applied";
        ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, 1, 1, "accuracy", 0}, Instant{1}));
        slot.lease = {};
        break;
      case Act::kLeave:
        home->leave(slot.id), slot.in = false, slot.lease = {};
        break;
      case Act::kDie:
        home->expire([&](Incarnation id) { return id == slot.id; });
        dead[step.slot] = true, slot.in = false, slot.lease = {};
        break;
      case Act::kApplied:
        for (const auto& part : under_way->slots) applied += part.rows;
        home->applied(under_way->clock + 1);  // not the clock that was closed: ignored
        home->applied(under_way->clock);
        under_way.reset();
        break;
    }
    look();
  }
  /// Takes what the home says; a slot without a lease asks for one.
  void look() {
    for (const GateRise& rise : home->take_gate_rises()) {
      for (Slot& slot : slots) {
        if (slot.id == rise.client) slot.gate = rise.gate;
      }
    }
    for (Slot& slot : slots) {
      if (slot.in && slot.lease.lease == 0) slot.lease = *home->lease(slot.id);
      if (slot.in) slot.gate = home->gate(slot.id)->clock;
    }
    if (auto apply = home->take_apply()) {
      ASSERT_FALSE(under_way) << "one clock at a time";
      std::sort(open_clock.begin(), open_clock.end(), [](const auto& a, const auto& b) { return a.client < b.client; });
      ASSERT_EQ(apply->slots, open_clock) << "what was committed, in the order of ids, and nothing else";
      ASSERT_EQ(apply->clock, clocks++);
      under_way = std::move(apply), open_clock.clear();
    }
    for (const Slot& slot : slots) {
      ASSERT_FALSE(under_way && may_train(slot)) << "a clock begins before the one before is applied, or without this slot";
      const bool committed = std::any_of(open_clock.begin(), open_clock.end(), [&](const auto& part) { return part.client == slot.id; });
      ASSERT_FALSE(committed && may_train(slot)) << "twice in one clock";
    }
  }
  [[nodiscard]] std::string key() const {
    std::string out = fmt::format("{} {} ", home->report().step, under_way.has_value());
    for (std::size_t i = 0; i < slots.size(); ++i) {
      const Slot& s = slots[i];
      out += fmt::format("| {} {} {} {} {} {} {} {} ", s.in, joins[i], static_cast<int>(s.lease.kind), s.lease.first_row, s.lease.offset, may_train(s), dead[i],
                         std::any_of(open_clock.begin(), open_clock.end(), [&](const auto& part) { return part.client == s.id; }));
    }
    return out;
  }
  /// From here whoever is left, or one more, comes to the end.
  void finish() {
    for (int i = 0; i < 200 && home->state() != HomeState::kFinished && !testing::Test::HasFatalFailure(); ++i) {
      if (under_way) take({Act::kApplied, 0});
      bool any = false;
      for (std::size_t k = 0; k < slots.size(); ++k) {
        any = any || slots[k].in;
        for (const Act act : {Act::kTrain, Act::kEvaluate}) {
          if (possible({act, k})) take({act, k});
        }
      }
      if (!any) slots[0].id = Incarnation(9), slots[0].join(*home, join), look();
    }
    ASSERT_EQ(home->state(), HomeState::kFinished) << key();
    ASSERT_EQ(home->report().examples, rows);
    ASSERT_EQ(applied, rows) << "the sum of what was applied is the sum of what was acknowledged";
    ASSERT_EQ(home->report().redone_batches, 0U);
  }

  const proto::Join& join;  ///< outlives it
  std::unique_ptr<JobHome> home;
  std::uint64_t rows;  ///< of one epoch
  std::array<Slot, 3> slots{Slot{Incarnation(1)}, Slot{Incarnation(2)}, Slot{Incarnation(3)}};
  std::array<int, 3> joins{};
  std::array<bool, 3> dead{};
  std::vector<proto::ApplySlot> open_clock;
  std::optional<proto::Apply> under_way;
  std::uint64_t batches = 0, clocks = 0, applied = 0;
};

BspWorld walk(const proto::Join& join, const std::vector<BspWorld::Step>& path) {
  BspWorld world(join);
  for (const auto& step : path) world.take(step);
  return world;
}

TEST(JobHomeBsp, EveryInterleavingAppliesWhatWasCommittedAndNothingElseAndComesToTheEnd) {
  for (const std::uint64_t test_rows : {0U, 1U}) {
    Shape shape;
    shape.rows = 3 + test_rows, shape.chunk_rows = 2, shape.epochs = 1, shape.test_rows = test_rows;
    shape.consistency = {proto::ConsistencyMode::kBsp, 0};
    const auto join = join_of(shape);
    std::unordered_set<std::string> seen;
    std::deque<std::vector<BspWorld::Step>> open{{}};
    while (!open.empty() && !testing::Test::HasFatalFailure()) {
      const auto path = std::move(open.front());
      open.pop_front();
      BspWorld here = walk(join, path);
      std::vector<BspWorld::Step> steps{{BspWorld::Act::kApplied, 0}};
      for (std::size_t slot = 0; slot < 3; ++slot) {
        for (const auto act : BspWorld::kActs) steps.push_back({act, slot});
      }
      for (const auto& step : steps) {
        if (!here.possible(step)) continue;
        BspWorld world = walk(join, path);
        world.take(step);
        if (!seen.insert(world.key()).second) continue;
        open.push_back(path);
        open.back().push_back(step);
      }
      here.finish();
    }
    EXPECT_GT(seen.size(), 1000U);
  }
}

TEST(JobHomeBsp, TheFirstClockWaitsForTheJobsSlotsButNotForEver) {
  Shape shape;
  shape.consistency = {proto::ConsistencyMode::kBsp, 0};
  auto join = join_of(shape);
  auto spec = *proto::job_spec_from_json(join.spec);
  spec.slots_min = 2;
  join.spec = proto::to_json(spec);
  for (const bool second : {false, true}) {
    auto home = *JobHome::open(kHomeJob, 0, join);
    ASSERT_TRUE(home->join(Incarnation(1), join));
    const Instant begin{1'000'000};
    EXPECT_EQ(home->lease(Incarnation(1), begin)->kind, LeaseKind::kWait);
    EXPECT_EQ(home->lease(Incarnation(1), begin + (JobHome::kGather - from_ms(1)))->kind, LeaseKind::kWait);
    if (second) { ASSERT_TRUE(home->join(Incarnation(2), join)); }
    EXPECT_EQ(home->lease(Incarnation(1), begin + (second ? from_ms(1) : JobHome::kGather))->kind, LeaseKind::kTrain);
  }
}

TEST(JobHomeBsp, WhatAShardCanNotApplyIsToldToEverySlot) {
  Shape shape;
  shape.consistency = {proto::ConsistencyMode::kBsp, 0};
  auto home = open(shape);
  Slot slot{Incarnation(1)};
  slot.join(*home, shape);
  slot.lease = *home->lease(slot.id);
  auto commit = slot.next_commit(10, false);
  EXPECT_THAT(home->commit(slot.id, commit, Instant{1}).error().what, HasSubstr("names the batch"));
  commit.batch = 1, commit.sequence = 2;
  ASSERT_TRUE(home->commit(slot.id, commit, Instant{1}));
  ASSERT_TRUE(home->take_apply());
  EXPECT_FALSE(home->take_apply()) << "once";
  home->apply_failed({Errc::kRejected, "float 3 is inf"});
  EXPECT_THAT(home->gate(slot.id).error().what, HasSubstr("float 3 is inf"));
  EXPECT_THAT(home->lease(slot.id).error().what, HasSubstr("float 3 is inf"));
  EXPECT_THAT(home->join(Incarnation(2), join_of(shape)).error().what, HasSubstr("float 3 is inf"));
}

}  // namespace
}  // namespace sluice::server
