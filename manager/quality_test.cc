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
