#include "manager/fair_shadow.h"

#include <gtest/gtest.h>

namespace sluice::manager {
namespace {

constexpr std::uint32_t kSlots = 2;
const SpeedUp kOneAStep{.alone = 1};

class FairShadowTest : public testing::Test {
 protected:
  /// In rounds of half a second.
  void see(std::uint64_t job, double steps, bool paused = false) { shadow.see(JobId{job}, now, steps, kOneAStep, paused); }
  void end(std::uint64_t job, double steps, double slot_seconds = 1) { shadow.ended(JobId{job}, steps, slot_seconds); }
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
  for (const std::uint64_t job : {1, 2}) see(job, 100);
  go(10);
  EXPECT_NEAR(shadow.behind(JobId{1}, 4).seconds(), 6, 1e-9) << "with a slot of its own it would have done 10 steps";
  EXPECT_NEAR(shadow.behind(JobId{2}, 12).seconds(), -2, 1e-9);
}

TEST_F(FairShadowTest, AJobIsFoundAmongIdsWithHoles) {
  shadow.advance(now, kSlots, 0);
  for (const std::uint64_t job : {3, 7, 8, 20}) see(job, 1000);
  go(10);
  for (const std::uint64_t job : {3, 7, 8, 20})
    EXPECT_NEAR(shadow.behind(JobId{job}, 2).seconds(), 6, 1e-9) << job << ": five of its steps are done at half a slot";
  for (const std::uint64_t job : {1, 5, 19, 21}) EXPECT_EQ(shadow.behind(JobId{job}, 2), Duration{}) << job << " is nobody";
  end(7, 1000);
  go(10);
  EXPECT_LT(shadow.behind(JobId{8}, 5), shadow.behind(JobId{8}, 2));
  EXPECT_EQ(shadow.behind(JobId{3}, 2), shadow.behind(JobId{20}, 2));
}

TEST_F(FairShadowTest, WhatIsUsualIsTheMeanWhereAllJobsEnd) {
  shadow.advance(now, kSlots, 0);
  for (const std::uint64_t job : {1, 2}) see(job, 10);
  go(20);
  for (const std::uint64_t job : {1, 2}) end(job, 10);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 10, 0.6);
  EXPECT_NEAR(shadow.usual_attained(), 20, 1e-9) << "40 slot-seconds were held, by two jobs";
}

TEST_F(FairShadowTest, TheFirstThatEndsIsAShortOneAndNotWhatIsUsual) {
  shadow.advance(now, kSlots, 0);
  EXPECT_EQ(shadow.usual_stay().ns, 0);
  EXPECT_EQ(shadow.usual_attained(), 0);
  // Ten jobs for two slots, one of which is over after a second of a slot: 5 s.
  for (std::uint64_t job = 1; job <= 10; ++job) see(job, job == 10 ? 1 : 100);
  go(6);
  end(10, 1);
  EXPECT_GT(shadow.usual_stay().seconds(), 45) << "ten jobs have been there for 5 s";
  EXPECT_GT(shadow.usual_attained(), 10);
  go(44);
  EXPECT_GT(shadow.usual_stay().seconds(), 400) << "and nobody else is through yet";
}

TEST_F(FairShadowTest, TimeInWhichNobodyWasThereIsNobodysStay) {
  shadow.advance(now, kSlots, 0);
  see(1, 10);
  go(5);
  end(1, 10);
  go(0.5);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 5, 1e-6);
  // No rounds for an hour; then another one comes, and its first round.
  now = now + from_seconds(3600);
  see(2, 10);
  shadow.advance(now, kSlots, 0);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 5, 1e-6);
  go(5);
  end(2, 10);
  // What ended in truth before the shadow was through with it stays no longer than it needs, however long the next round is away.
  see(3, 10);
  go(1);
  end(3, 10);
  now = now + from_seconds(3600);
  shadow.advance(now, kSlots, 0);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 5, 0.2);
}

TEST_F(FairShadowTest, AManagerThatBeginsAnewKnowsHowOldItsJobsAre) {
  const Instant submitted = now;
  now = now + from_seconds(7200);
  for (const std::uint64_t job : {1, 2, 3}) shadow.see(JobId{job}, submitted, job == 1 ? 1 : 1e6, kOneAStep, false);
  shadow.advance(now, kSlots, 0);
  go(2);
  end(1, 1);
  go(0.5);
  EXPECT_GT(shadow.usual_stay().seconds(), 3 * 7200);
}

TEST_F(FairShadowTest, CancelledWithoutASlotOrPausedTheyTellNothing) {
  shadow.advance(now, kSlots, 0);
  see(1, 10);
  go(5);
  end(1, 10);
  go(0.5);
  const Duration before = shadow.usual_stay();
  for (std::uint64_t job = 2; job <= 100; ++job) shadow.see(JobId{job}, now, 10, SpeedUp{}, false);
  go(1);
  for (std::uint64_t job = 2; job <= 100; ++job) end(job, 0, 0);
  go(0.5);
  EXPECT_NEAR(shadow.usual_stay().seconds(), before.seconds(), 1e-6);
  see(101, 10, /*paused=*/true);
  go(1000);
  EXPECT_NEAR(shadow.usual_stay().seconds(), before.seconds(), 1e-6);
}

TEST_F(FairShadowTest, OfVeryManyTheLastHundredCountMost) {
  shadow.advance(now, kSlots, 0);
  std::uint64_t job = 0;
  const auto one_by_one = [&](int jobs, double steps) {
    for (int i = 0; i < jobs; ++i) {
      see(++job, steps);
      go(steps / kSlots);
      end(job, steps);
      go(0.5);
    }
  };
  one_by_one(150, 2);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 1, 1e-6);
  one_by_one(300, 8);
  EXPECT_NEAR(shadow.usual_stay().seconds(), 4, 0.2);
}

TEST_F(FairShadowTest, JobsThatEndWhilePausedAreForgottenAsOthersAre) {
  shadow.advance(now, kSlots, 0);
  for (std::uint64_t job = 1; job <= 100; ++job) {
    see(job, 10);
    go(1);
    see(job, 10, /*paused=*/true);
    go(1);
    end(job, 5);
  }
  go(300);
  EXPECT_EQ(shadow.known(), 0U) << "each would be a pass over its numbers in every round, for as long as the manager lives";
}

}  // namespace
}  // namespace sluice::manager
