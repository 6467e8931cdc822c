#include "manager/fair_shadow.h"

#include <gtest/gtest.h>

namespace sluice::manager {
namespace {

constexpr std::uint32_t kSlots = 2;
const SpeedUp kOneAStep{.alone = 1};

class FairShadowTest : public testing::Test {
 protected:
  /// In rounds of half a second.
  void go(double seconds) {
    for (const Instant end = now + from_seconds(seconds); now < end;) {
      now = now + from_ms(500);
      shadow.advance(now, kSlots, kSlots);
    }
  }
  FairShadow shadow;
  Instant now{1'000'000'000};
};

TEST_F(FairShadowTest, AJobBehindItsFairScheduleIsToldByHowMuch) {
  shadow.advance(now, kSlots, 0);
  for (const std::uint64_t job : {1, 2}) shadow.see(JobId{job}, 100, kOneAStep);
  go(10);
  EXPECT_NEAR(shadow.behind(JobId{1}, 4).seconds(), 6, 1e-9) << "with a slot of its own it would have done 10 steps";
  EXPECT_NEAR(shadow.behind(JobId{2}, 12).seconds(), -2, 1e-9);
}

TEST_F(FairShadowTest, WhatIsUsualIsTheMeanWhereAllJobsEnd) {
  shadow.advance(now, kSlots, 0);
  for (const std::uint64_t job : {1, 2}) shadow.see(JobId{job}, 10, kOneAStep);
  go(20);
  for (const std::uint64_t job : {1, 2}) shadow.ended(JobId{job}, 10);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 10, 0.6);
  EXPECT_NEAR(shadow.usual_attained(), 20, 1e-9) << "40 slot-seconds were held, by two jobs";
}

TEST_F(FairShadowTest, TheFirstThatEndsIsAShortOneAndNotWhatIsUsual) {
  shadow.advance(now, kSlots, 0);
  EXPECT_EQ(shadow.usual_stay().ns, 0);
  EXPECT_EQ(shadow.usual_attained(), 0);
  // Ten jobs for two slots, one of which is over after a second of a slot: 5 s.
  for (std::uint64_t job = 1; job <= 10; ++job) shadow.see(JobId{job}, job == 10 ? 1 : 100, kOneAStep);
  go(6);
  shadow.ended(JobId{10}, 1);
  EXPECT_GT(shadow.usual_stay().seconds(), 45) << "ten jobs have been there for 5 s";
  EXPECT_GT(shadow.usual_attained(), 10);
  go(44);
  EXPECT_GT(shadow.usual_stay().seconds(), 400) << "and nobody else is through yet";
}

TEST_F(FairShadowTest, OfVeryManyTheLastHundredCountMost) {
  shadow.advance(now, kSlots, 0);
  std::uint64_t job = 0;
  const auto one_by_one = [&](int jobs, double steps) {
    for (int i = 0; i < jobs; ++i) {
      shadow.see(JobId{++job}, steps, kOneAStep);
      go(steps / kSlots);
      shadow.ended(JobId{job}, steps);
      go(0.5);
    }
  };
  one_by_one(150, 2);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 1, 1e-6);
  one_by_one(300, 8);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 4, 0.2);
}

}  // namespace
}  // namespace sluice::manager
