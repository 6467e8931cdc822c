#include "server/detail/ends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "server/detail/home_client_test.h"

namespace sluice::server {
namespace {
using testing::HasSubstr;

TEST(Ends, ATargetIsReachedFromItsOwnSide) {
  EXPECT_THAT(reached_words({"loss", 0.35, 0}, 0.3493, 2000), HasSubstr("target reached: loss <= 0.35: 0.3493 after 2000 steps"));
  EXPECT_EQ(reached_words({"loss", 0.35, 0}, 0.36, 2000), "");
  EXPECT_NE(reached_words({"accuracy", 0.9, 0}, 0.91, 10), "");
  EXPECT_EQ(reached_words({"accuracy", 0.9, 0}, 0.89, 10), "");
  EXPECT_EQ(reached_words({"accuracy", 0.9, 0}, std::nan(""), 10), "");
  EXPECT_EQ(reached_words({"mse", 0.9, 0}, std::nan(""), 10), "");
  EXPECT_NE(reached_words({"error", 0.1, 0}, 0.1, 10), "");
}

/// One slot trains, its loss goes along `loss`, and the home reports after every second batch, to the end.
proto::JobReport trained(Shape shape, const std::function<double(double)>& loss) {
  shape.rows = 1280, shape.epochs = 200;
  auto home = open(shape);
  Slot slot{Incarnation(1)};
  slot.join(*home, shape);
  for (int i = 0; i < 20'000 && home->state() != proto::HomeState::kFinished && !testing::Test::HasFatalFailure(); ++i) {
    if (const auto apply = home->take_apply()) home->applied(apply->clock);
    slot.lease = *home->lease(slot.id);
    if (slot.lease.kind == proto::LeaseKind::kTrain) {
      auto commit = slot.next_commit(128, false);
      commit.batch = slot.sequence;
      commit.loss_sum = loss(static_cast<double>(home->report().step)) * commit.examples;
      commit.loss_squares = commit.loss_sum * commit.loss_sum / commit.examples;
      EXPECT_TRUE(home->commit(slot.id, commit, Instant{1}));
      ++slot.clock, ++slot.sequence;
      if (slot.sequence % 2 == 0) home->report_taken();
    } else if (slot.lease.kind == proto::LeaseKind::kEvaluate) {
      const double score = loss(static_cast<double>(home->report().step)) * slot.lease.rows;
      EXPECT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, score, 0.5 * slot.lease.rows, "accuracy", 0}, Instant{1}));
    }
  }
  EXPECT_EQ(home->state(), proto::HomeState::kFinished);
  EXPECT_TRUE(home->changed()) << "the end is reported";
  return home->report();
}

TEST(Ends, AHomeEndsAJobThatHasConvergedOrReachedItsTargetAndScoresItsEnd) {
  const auto falls = [](double step) { return 0.5 + std::exp(-step / 100); };
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    for (const std::uint64_t test_rows : {0U, 100U}) {
      Shape shape;
      shape.consistency.mode = mode, shape.test_rows = test_rows;
      EXPECT_EQ(trained(shape, falls).ended, "") << "all epochs, where nobody asked for an end";
      shape.target = proto::TargetSpec{"loss", 0.6, 0};
      auto report = trained(shape, falls);
      EXPECT_THAT(report.ended, HasSubstr("target reached: loss <= 0.6: 0.59"));
      EXPECT_LT(report.step, 300U);
      if (test_rows > 0) { EXPECT_EQ(report.evaluated_at_step, report.step) << "the end is scored as always"; }
      shape.target = proto::TargetSpec{"loss", 0.1, 0};
      shape.converged = true;
      report = trained(shape, falls);
      EXPECT_THAT(report.ended, HasSubstr("converged: over the last 40 % of its"));
      EXPECT_GT(report.step, 300U);
      EXPECT_LT(report.step, 1500U);
    }
  }
}

TEST(Ends, ATargetOfHeldOutRowsIsLookedAtWhenTheyAreScored) {
  Shape shape;
  shape.test_rows = 100;
  shape.target = proto::TargetSpec{"validation_loss", 0.6, 0};
  const auto falls = [](double step) { return 0.5 + std::exp(-step / 100); };
  const auto report = trained(shape, falls);
  EXPECT_THAT(report.ended, HasSubstr("target reached: validation_loss <= 0.6"));
  EXPECT_LT(report.step, 300U);
  shape.target = proto::TargetSpec{"accuracy", 0.5, 0};
  EXPECT_THAT(trained(shape, falls).ended, HasSubstr("target reached: accuracy >= 0.5: 0.5 after"));
  shape.target = proto::TargetSpec{"accuracy", 0.51, 0};
  EXPECT_EQ(trained(shape, falls).ended, "");
}

}  // namespace
}  // namespace sluice::server
