#include "sim/curve.h"

#include <gtest/gtest.h>

namespace sluice::sim {
namespace {

TEST(Curve, GoesStraightBetweenItsPointsAndStaysAtItsLast) {
  const Curve curve({4, 2, 1}, 10);
  EXPECT_EQ(curve.steps(), 20);
  EXPECT_EQ(curve.at(0), 4);
  EXPECT_EQ(curve.at(5), 3);
  EXPECT_EQ(curve.at(15), 1.5);
  EXPECT_EQ(curve.at(1000), 1);
  EXPECT_EQ(Curve({3}).at(7), 3);
}

TEST(Curve, MeansAreOfTheStepsAskedFor) {
  const Curve curve({4, 2, 1}, 10);
  EXPECT_DOUBLE_EQ(curve.mean(0, 10), 3);
  EXPECT_DOUBLE_EQ(curve.mean(5, 15), (5 * 2.5 + 5 * 1.75) / 10);
  EXPECT_DOUBLE_EQ(curve.mean(15, 30), (5 * 1.25 + 10) / 15);
  EXPECT_DOUBLE_EQ(curve.mean(15, 15), 1.5);
}

TEST(Curve, FractionsAreOfTheFallToTheBestLoss) {
  const Curve curve({5, 3, 1, 4}, 10);
  EXPECT_EQ(curve.steps_to_fraction(0), 0);
  EXPECT_DOUBLE_EQ(curve.steps_to_fraction(0.5), 10);
  EXPECT_DOUBLE_EQ(curve.steps_to_fraction(0.75), 15);
  EXPECT_DOUBLE_EQ(curve.steps_to_fraction(1), 20);
  EXPECT_DOUBLE_EQ(curve.normalized(20), 0);
  EXPECT_DOUBLE_EQ(curve.normalized(30), 0.75);
  const Curve rising({1, 2});
  EXPECT_EQ(rising.steps_to_fraction(0.9), 1) << "never: its end";
  EXPECT_EQ(rising.normalized(0), 1);
}

}  // namespace
}  // namespace sluice::sim
