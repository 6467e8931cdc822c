#include "manager/quality.h"

#include <gtest/gtest.h>

namespace sluice::manager {
namespace {

std::vector<LossPoint> curve(const std::vector<double>& losses) {
  std::vector<LossPoint> points;
  for (std::size_t i = 0; i < losses.size(); ++i)
    points.push_back({.step = i + 1, .examples = i + 1, .seconds = static_cast<double>(i + 1), .loss = losses[i], .spread = 0, .weight = 1});
  return points;
}

TEST(Quality, SmoothingBeginsAtTheFirstLossAndHalvesTheDistance) {
  EXPECT_EQ(smoothed(curve({4, 2, 2})), (std::vector<double>{4, 3, 2.5}));
  EXPECT_TRUE(smoothed({}).empty());
}

TEST(Quality, TheBestLevelIsAMeanAndNoLuckyReport) {
  EXPECT_EQ(best_level({}), 0);
  EXPECT_DOUBLE_EQ(best_level(curve({4, 2})), 3);
  std::vector<double> losses = {4, 2};
  for (int i = 0; i < 40; ++i) losses.push_back(i == 20 ? 0.5 : 1);
  EXPECT_DOUBLE_EQ(best_level(curve(losses)), 0.95);
  losses.insert(losses.end(), 20, 3.0);  // worse again: the level that it had counts
  EXPECT_DOUBLE_EQ(best_level(curve(losses)), 0.95);
}

TEST(Quality, TheRecentFallIsTheSlopeOfTheNewestReports) {
  EXPECT_EQ(recent_fall({}, 10), 0);
  EXPECT_EQ(recent_fall(curve({4}), 10), 0);
  EXPECT_DOUBLE_EQ(recent_fall(curve({4, 3}), 1), 1);
  EXPECT_DOUBLE_EQ(recent_fall(curve({4, 3}), 100), 1) << "no further ahead than was seen behind";
  EXPECT_EQ(recent_fall(curve({3, 4}), 1), 0) << "a rising loss";
  std::vector<double> straight;
  for (int i = 0; i < 200; ++i) straight.push_back(10 - 0.01 * i);
  EXPECT_NEAR(recent_fall(curve(straight), 5), 0.05, 1e-9);
  EXPECT_NEAR(recent_fall(curve(straight), 20), 0.2, 1e-9);
  EXPECT_NEAR(recent_fall(curve(straight), 1000), 0.01 * 31.5, 1e-9) << "half of the newest 64 reports";
  straight.insert(straight.end(), 60, 8.0);
  EXPECT_NEAR(recent_fall(curve(straight), 20), 0, 1e-9) << "what was long ago counts no more";
}

TEST(Quality, TheRecentFallOfAThinnedCurveReachesItsOlderPoint) {
  auto points = curve({5, 4, 3});
  points[0].step = 100, points[1].step = 900, points[2].step = 1000;
  EXPECT_NEAR(recent_fall(points, 150), 150.0 * (5 - 3.5) / 850, 1e-9);
}

TEST(Quality, AHugeLossLeavesNoTraceInTheBestLevel) {
  std::vector<double> losses(30, 1.0);
  losses[0] = 1e30;
  EXPECT_DOUBLE_EQ(best_level(curve(losses)), 1);
}

TEST(Quality, ReportsWeighWhatTheyHaveExamples) {
  auto points = curve({4, 1});
  points[1].examples = 100;  // one example at 4, 99 at 1
  EXPECT_DOUBLE_EQ(best_level(points), 1.03);
}

TEST(Quality, TimeToAFractionIsWhenTheSmoothedLossFirstReachesIt) {
  const auto points = curve({4, 0, 0, 0, 0, 0});  // smoothed 4, 2, 1, .5, .25, .125
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.5), 2.0);
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.9), 5.0);
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.99), std::nullopt);
  EXPECT_EQ(seconds_to_fraction(points, 4, 4, 0.9), std::nullopt);
  EXPECT_EQ(seconds_to_fraction({}, 4, 0, 0.9), std::nullopt);
}

TEST(Quality, LossSecondsCountTheWaitBeforeTheFirstReportInFull) {
  const auto points = curve({4, 0, 0});  // q: 1 until 1 s, 1 until 2 s, 1/2 until 3 s, then 1/4
  EXPECT_DOUBLE_EQ(loss_seconds(points, 4, 0, 3), 2.5);
  EXPECT_DOUBLE_EQ(loss_seconds(points, 4, 0, 5), 3.0);
  EXPECT_DOUBLE_EQ(loss_seconds({}, 4, 0, 5), 5.0);
  EXPECT_DOUBLE_EQ(loss_seconds(curve({1, 2}), 1, 1, 5), 5.0);
}

}  // namespace
}  // namespace sluice::manager
