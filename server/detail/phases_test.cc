/// A job home whose model has phases: every pass ends once, in one slot, and is applied as one before the next begins, whoever leaves or dies.

#include "server/detail/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/rng.h"
#include "server/detail/home_client_test.h"

namespace sluice::server {
namespace {

using proto::HomeState;
using proto::LeaseKind;
using testing::HasSubstr;

/// Slots that do everything in a random order, each answer sometimes lost; and the lanes, which apply some time later.
struct PhaseCrowd {
  PhaseCrowd(const Shape& s, std::size_t slots, std::uint64_t seed)
      : shape(s), home(open(s)), rng(seed), slots_(slots), trained(s.phases, std::vector<int>(s.rows)) {
    for (Slot& slot : slots_) slot.id = Incarnation(next_id++);
  }
  [[nodiscard]] bool bsp() const { return shape.consistency.mode == proto::ConsistencyMode::kBsp; }
  [[nodiscard]] std::size_t out(LeaseKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.in && s.lease.lease != 0 && s.lease.kind == kind; }));
  }

  void train(Slot& slot) {
    ASSERT_EQ(slot.lease.epoch, applied) << "a pass begins before the one before has ended";
    if (slot.clock > slot.gate) return;
    auto commit = slot.next_commit(static_cast<std::uint32_t>(1 + rng.below(60)), rng.below(2) == 0);
    commit.batch = ++batches;
    const auto reply = home->commit(slot.id, commit, Instant{1});
    ASSERT_TRUE(reply) << reply.error().what;
    for (std::uint32_t i = commit.offset - commit.examples; i < commit.offset; ++i) ++trained[slot.lease.epoch][slot.lease.first_row + i];
    open_rows += commit.examples;
    ++slot.clock, ++slot.sequence;
    slot.lease.offset = commit.offset, slot.gate = reply->gate;
    if (slot.lease.offset == slot.lease.rows) slot.lease = {};
    if (reply->has_lease) slot.lease = reply->lease, check(slot);
  }
  void end_phase(Slot& slot) {
    const bool done = ends_at && slot.lease.epoch == *ends_at;
    const proto::PhaseCommit commit{slot.lease.lease, ++batches, done, done ? "nothing moved" : "", 0.5};
    const auto reply = home->phase_commit(slot.id, commit, Instant{1});
    ASSERT_TRUE(reply) << reply.error().what;
    ASSERT_TRUE(home->phase_commit(slot.id, {slot.lease.lease, batches + 1000, !done, "", 0}, Instant{1})) << "a repeat counts once";
    committed = {slot.id, batches, 1};
    applying = true;
    slot.lease = {};
  }
  /// What was just leased.
  void check(const Slot& slot) {
    if (slot.lease.lease == 0) return;
    ASSERT_FALSE(applying) << "work is given out while an end is on its way";
    if (slot.lease.kind == LeaseKind::kPhase) {
      ASSERT_EQ(slot.lease.epoch, applied);
      ASSERT_THAT(trained[applied], testing::Each(1)) << "it ends before all of its rows are committed";
      ASSERT_EQ(out(LeaseKind::kPhase), 1U);
      ASSERT_TRUE(!clock) << "before the last clock is applied";
    } else {
      ASSERT_EQ(out(LeaseKind::kPhase), 0U);
    }
    ASSERT_TRUE(out(LeaseKind::kTrain) == 0 || out(LeaseKind::kEvaluate) == 0) << "a scoring sees one phase's parameters";
    if (slot.lease.kind == LeaseKind::kEvaluate) { ASSERT_EQ(open_rows, 0U) << "a scoring in the middle of a pass"; }
  }
  void apply() {
    if (clock && rng.below(3) == 0) {
      home->applied(*clock + 1);  // not that one
      home->applied(*clock);
      if (std::exchange(applying, false)) ++applied, open_rows = 0;
      clock.reset();
    }
    if (const auto next = home->take_apply()) {
      ASSERT_FALSE(clock);
      clock = next->clock;
      ASSERT_EQ(next->clock, clocks++) << "lanes take them in order";
      if (committed) { ASSERT_THAT(next->slots, testing::ElementsAre(*std::exchange(committed, {}))); }
    }
  }
  void step(Slot& slot) {
    apply();
    if (!slot.in) return slot.join(*home, shape);
    if (rng.below(40) == 0) return home->leave(slot.id), slot.in = false, slot.lease = {}, void();
    if (rng.below(60) == 0) {
      if (slot.lease.kind == LeaseKind::kPhase && slot.lease.lease != 0) ++phases_lost;
      home->expire([&](Incarnation id) { return id == slot.id; });
      slot = {Incarnation(next_id++)};
      return;
    }
    if (slot.lease.lease == 0) {
      const auto lease = home->lease(slot.id);
      ASSERT_TRUE(lease) << lease.error().what;
      slot.lease = *lease;
      if (rng.below(4) == 0 && lease->lease != 0) { ASSERT_EQ(*home->lease(slot.id), *lease) << "asking twice gives one lease"; }
      slot.gate = home->gate(slot.id)->clock;
      return check(slot);
    }
    if (slot.lease.kind == LeaseKind::kTrain) return train(slot);
    if (slot.lease.kind == LeaseKind::kPhase) return end_phase(slot);
    ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, score * slot.lease.rows, 0, "inertia", 0}, Instant{1}));
    slot.lease = {};
  }
  void run() {
    for (int i = 0; i < 400'000 && home->state() != HomeState::kFinished && !testing::Test::HasFatalFailure(); ++i) {
      step(slots_[rng.below(slots_.size())]);
      for (const GateRise& rise : home->take_gate_rises()) {
        for (Slot& slot : slots_) {
          if (slot.id == rise.client) slot.gate = std::max(slot.gate, rise.gate);
        }
      }
    }
  }

  Shape shape;
  std::unique_ptr<JobHome> home;
  SeededRng rng;
  std::vector<Slot> slots_;
  std::vector<std::vector<int>> trained;
  std::optional<std::uint32_t> ends_at;  ///< the phase that says that training is over
  double score = 0.5;
  std::uint64_t next_id = 1, batches = 0, clocks = 0, open_rows = 0;
  std::uint32_t applied = 0;           ///< phases
  std::optional<std::uint64_t> clock;  ///< on its way to the lanes
  bool applying = false;               ///< it is a phase's
  std::optional<proto::ApplySlot> committed;
  int phases_lost = 0;
};

Shape phased(std::uint64_t seed) {
  Shape shape;
  shape.rows = 200 + 37 * (seed % 7), shape.chunk_rows = static_cast<std::uint32_t>(16 + seed * 3 % 90), shape.epochs = 1;
  shape.phases = 1 + static_cast<std::uint32_t>(seed % 4);
  shape.test_rows = seed % 3 == 0 ? 0 : 100 * (seed % 3);
  constexpr proto::ConsistencyMode kModes[] = {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kSsp, proto::ConsistencyMode::kBsp};
  shape.consistency = {kModes[seed / 4 % 3], seed / 4 % 3 == 1 ? static_cast<std::uint32_t>(seed % 3) : 0};
  return shape;
}

TEST(JobHomePhases, EachPassEndsOnceAfterAllOfItsRowsAndBeforeTheNext) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    PhaseCrowd crowd(phased(seed), 1 + seed % 5, seed);
    crowd.run();
    ASSERT_EQ(crowd.home->state(), HomeState::kFinished) << "seed " << seed;
    ASSERT_THAT(crowd.trained, testing::Each(testing::Each(1))) << "seed " << seed;
    ASSERT_EQ(crowd.applied, crowd.shape.phases) << "seed " << seed;
    const auto report = crowd.home->report();
    EXPECT_EQ(report.examples, crowd.shape.rows * crowd.shape.phases);
    EXPECT_EQ(report.examples_total, report.examples);
    EXPECT_EQ(report.evaluated, crowd.shape.test_rows);
    EXPECT_EQ(report.ended, "");
    if (crowd.bsp()) { EXPECT_EQ(report.redone_batches, 0U); }
    lost += crowd.phases_lost;
  }
  EXPECT_GT(lost, 3) << "the search must meet slots that die at it";
}

TEST(JobHomePhases, AnEndThatSaysSoEndsTrainingAndTheEndIsScored) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    auto shape = phased(seed);
    shape.phases = 6;
    PhaseCrowd crowd(shape, 1 + seed % 3, seed);
    crowd.ends_at = static_cast<std::uint32_t>(seed % 6);
    crowd.run();
    ASSERT_EQ(crowd.home->state(), HomeState::kFinished) << "seed " << seed;
    EXPECT_EQ(crowd.applied, *crowd.ends_at + 1);
    const auto report = crowd.home->report();
    EXPECT_EQ(report.examples, shape.rows * (*crowd.ends_at + 1)) << "seed " << seed;
    EXPECT_EQ(report.ended, "nothing moved");
    EXPECT_EQ(report.evaluated_at_step, shape.test_rows > 0 ? report.step : 0);
  }
}

TEST(JobHomePhases, PatienceCountsPhases) {
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    Shape shape = phased(3);
    shape.phases = 9, shape.test_rows = 50, shape.patience = 2, shape.consistency = {mode, 0};
    PhaseCrowd crowd(shape, 2, 5);
    crowd.run();
    EXPECT_EQ(crowd.applied, 3U) << "no fall after the first";
    EXPECT_THAT(crowd.home->report().ended, HasSubstr("stopped early"));
    EXPECT_EQ(crowd.home->report().examples, shape.rows * 3);
  }
}

TEST(JobHomePhases, WrongCommitsChangeNothingAndTheEndGoesToAnother) {
  Shape shape;
  shape.rows = 10, shape.chunk_rows = 16, shape.phases = 2;
  auto home = open(shape);
  Slot one{Incarnation(1)}, two{Incarnation(2)};
  one.join(*home, shape), two.join(*home, shape);
  one.lease = *home->lease(one.id);
  ASSERT_EQ(home->lease(two.id)->kind, LeaseKind::kWait) << "the next pass does not begin";
  ASSERT_TRUE(home->commit(one.id, one.next_commit(10, false), Instant{1}));
  one.lease = *home->lease(one.id);
  ASSERT_EQ(one.lease.kind, LeaseKind::kPhase);
  EXPECT_EQ(home->lease(two.id)->kind, LeaseKind::kWait);
  EXPECT_TRUE(home->phase_commit(two.id, {one.lease.lease, 1, false, "", 0}, Instant{1})) << "another's";
  EXPECT_FALSE(home->take_apply());
  EXPECT_FALSE(home->phase_commit(Incarnation(3), {one.lease.lease, 1, false, "", 0}, Instant{1}));
  EXPECT_THAT(home->phase_commit(one.id, {one.lease.lease, 0, false, "", 0}, Instant{1}).error().what, HasSubstr("names batch 0"));
  two.lease = *home->lease(two.id);
  ASSERT_EQ(two.lease.kind, LeaseKind::kPhase);
  EXPECT_EQ(two.lease.epoch, 0U);
  ASSERT_TRUE(home->phase_commit(two.id, {two.lease.lease, 7, true, std::string(5000, 'x') + '\x1b', 0}, Instant{1}));
  const auto apply = home->take_apply();
  ASSERT_TRUE(apply);
  EXPECT_THAT(apply->slots, testing::ElementsAre(proto::ApplySlot{Incarnation(2), 7, 1}));
  EXPECT_EQ(home->lease(one.id)->kind, LeaseKind::kWait) << "not before all lanes have it";
  home->applied(apply->clock);
  EXPECT_THAT(home->take_gate_rises(), testing::SizeIs(2)) << "those that wait are told to ask";
  EXPECT_EQ(home->report().ended.size(), proto::kReasonBytesMax);
  EXPECT_EQ(home->lease(one.id)->kind, LeaseKind::kFinished);
}

TEST(JobHomePhases, JoinsMustAgreeAndTablesMustHold) {
  Shape shape;
  shape.phases = 2;
  auto home = open(shape);
  auto other = join_of(shape);
  other.phases = 3;
  EXPECT_THAT(home->join(Incarnation(1), other).error().what, HasSubstr("3 phases; job 3 was opened with 2"));
  auto loose = join_of(shape);
  loose.tables[0].holds = false;
  EXPECT_THAT(JobHome::open(kHomeJob, 0, loose).error().what, HasSubstr("table 'w' must hold pushes"));
  auto greedy = join_of(Shape{});
  greedy.tables[0].holds = true;
  EXPECT_THAT(JobHome::open(kHomeJob, 0, greedy).error().what, HasSubstr("table 'w' may not hold pushes"));
  other.phases = JobHome::kPhasesMax + 1;
  EXPECT_THAT(JobHome::open(kHomeJob, 0, other).error().what, HasSubstr("phases"));
}

}  // namespace
}  // namespace sluice::server
