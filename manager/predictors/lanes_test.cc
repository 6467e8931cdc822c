/// What is kept in 16 bits comes back to a part in 1,000, in order, at both ends and beyond; sums over lanes are made in one order.
#include "manager/predictors/lanes.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace sluice::manager {
namespace {

float there_and_back(float x) {
  std::array<std::uint16_t, kFloats> kept;
  std::array<float, kFloats> back;
  store_lanes(shortened(Floats{} + x), kept.data());
  store_lanes(lengthened(kept.data()), back.data());
  return back[kFloats - 1];
}

TEST(Lanes, SixteenBitsKeepAPartInAThousand) {
  float before = 0;
  for (float x = 1e-12F; x < 1e7F; x *= 1.0037F) {
    const float back = there_and_back(x);
    EXPECT_NEAR(back / x, 1, 1.0 / 1024) << x;
    EXPECT_GE(back, before) << x;
    EXPECT_EQ(there_and_back(-x), -back);
    EXPECT_EQ(there_and_back(back), back);
    before = back;
  }
}

TEST(Lanes, WhatIsTooSmallOrTooLargeBecomesTheSmallestOrTheLargest) {
  for (const float x : {0.0F, 1e-30F, 1e-38F}) EXPECT_NEAR(there_and_back(x), std::exp2(-40), 1e-20) << x;
  for (const float x : {1e8F, 1e30F, HUGE_VALF}) EXPECT_NEAR(there_and_back(x), std::exp2(24), std::exp2(15)) << x;
  EXPECT_NEAR(there_and_back(-1e30F), -std::exp2(24), std::exp2(15));
}

TEST(Lanes, SumsAreMadeInOneOrder) {
  // In any other order the large ones would not leave the small ones alone.
  const Floats x = {1e8F, 1, 0, 2, -1e8F, 3, 4, 5};
  EXPECT_EQ(sum_lanes(x), 15);
  EXPECT_EQ(sum_lanes(Doubles{1e17, 1, -1e17, 2}), 3);
}

TEST(Lanes, LesserAndGreaterGoLaneByLane) {
  const Floats a = {1, 5, -3, 0, 2, 2, 9, -1}, b = {2, 4, -2, 0, 1, 3, -9, 1};
  const Floats low = lane_min(a, b), high = lane_max(a, b);
  for (std::size_t i = 0; i < kFloats; ++i) {
    EXPECT_EQ(low[i], std::min(a[i], b[i]));
    EXPECT_EQ(high[i], std::max(a[i], b[i]));
  }
}

}  // namespace
}  // namespace sluice::manager
