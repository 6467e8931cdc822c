#include "base/loss_curve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace sluice {
namespace {

TEST(LossCurve, StaysBoundedKeepsAllWeightAndTheRecentPointsAsTheyCame) {
  for (const std::size_t max : {16U, 64U, 256U}) {
    LossCurve curve(max);
    std::uint64_t weight = 0;
    double sum = 0;
    for (std::uint64_t step = 1; step <= 10'000; ++step) {
      const LossPoint point{step, step * 10, static_cast<double>(step), 1.0 / static_cast<double>(step), 0.5, 10 + step % 7};
      ASSERT_TRUE(curve.add(point));
      ASSERT_LE(curve.points().size(), max);
      ASSERT_EQ(curve.last(), point);
      weight += point.weight;
      sum += point.loss * static_cast<double>(point.weight);
    }
    std::uint64_t kept = 0;
    double kept_sum = 0;
    for (const LossPoint& point : curve.points()) {
      kept += point.weight;
      kept_sum += point.loss * static_cast<double>(point.weight);
    }
    EXPECT_EQ(kept, weight);
    EXPECT_NEAR(kept_sum, sum, 1e-9 * sum);
    const auto points = curve.points();
    for (std::size_t i = 1; i < points.size(); ++i) ASSERT_LT(points[i - 1].step, points[i].step);
    for (std::size_t i = points.size() - max / 4; i < points.size(); ++i) EXPECT_LE(points[i].weight, 17U) << "a recent point was merged";
  }
}

TEST(LossCurve, KeepsTheBeginningAndTheShapeOfAJobThatReportsForLong) {
  LossCurve curve;
  const auto loss_at = [](double step) { return 1 + 9 / std::sqrt(step); };
  for (std::uint64_t step = 1; step <= 20'000; ++step) {
    ASSERT_TRUE(curve.add({step, step, static_cast<double>(step), loss_at(static_cast<double>(step)), 0, 1}));
    if (step % 100 != 0 || step < 300) continue;
    const auto points = curve.points();
    ASSERT_EQ(points.front().step, 1U) << "a job's range is from its first loss";
    ASSERT_EQ(points.front().weight, 1U);
    for (std::size_t i = 1; i < points.size(); ++i) {
      const double from = static_cast<double>(points[i - 1].step), to = static_cast<double>(points[i].step);
      // Nowhere does one point stand for more than as many steps as came before it, or a twenty-fifth of all.
      ASSERT_LE(to - from, std::max(1.0, std::min(to / 2, static_cast<double>(step) / 25))) << "from step " << from << " to " << to << " of " << step;
      ASSERT_NEAR(points[i].loss, loss_at((from + 1 + to) / 2), 0.02 * loss_at(to)) << "from step " << from << " to " << to << " of " << step;
    }
  }
}

TEST(LossCurve, OfAJobThatWasBegunElsewhereKeepsAsMuch) {
  LossCurve curve;
  for (std::uint64_t step = 1'000'001; step <= 1'010'000; ++step) ASSERT_TRUE(curve.add({step, step, 0, 1, 0, 1}));
  EXPECT_GE(curve.points().size(), 128U);
  for (std::size_t i = 1; i < curve.points().size(); ++i) EXPECT_LE(curve.points()[i].weight, 400U);
}

TEST(LossCurve, DropsWhatIsNotFiniteOrNotLater) {
  LossCurve curve;
  EXPECT_TRUE(curve.empty());
  EXPECT_FALSE(curve.add({1, 1, 0, std::nan(""), 0, 1}));
  EXPECT_FALSE(curve.add({1, 1, 0, 1, std::numeric_limits<double>::infinity(), 1}));
  EXPECT_TRUE(curve.add({5, 1, 0, 1, 0, 1}));
  EXPECT_FALSE(curve.add({5, 1, 0, 1, 0, 1}));
  EXPECT_FALSE(curve.add({4, 1, 0, 1, 0, 1}));
  EXPECT_EQ(curve.points().size(), 1U);
}

}  // namespace
}  // namespace sluice
