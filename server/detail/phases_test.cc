/// A job home whose model has phases: every pass ends once, in one slot, and is applied as one before the next begins, whoever leaves or dies.

#include "server/detail/phases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/detail/home_crowd_test.h"

namespace sluice::server {
namespace {

using proto::HomeState;
using proto::LeaseKind;
using testing::HasSubstr;

TEST(JobHomePhases, EachPassEndsOnceAfterAllOfItsRowsAndBeforeTheNext) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    HomeCrowd crowd(phased_shape(seed), 1 + seed % 5, seed);
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
    auto shape = phased_shape(seed);
    shape.phases = 6;
    HomeCrowd crowd(shape, 1 + seed % 3, seed);
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
    Shape shape = phased_shape(3);
    shape.phases = 9, shape.test_rows = 50, shape.patience = 2, shape.consistency = {mode, 0};
    HomeCrowd crowd(shape, 2, 5);
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
