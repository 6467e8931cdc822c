#include "server/schedule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

using testing::HasSubstr;

Schedule schedule(const std::map<std::string, double>& numbers) { return *Schedule::of({"sgd", numbers}); }

TEST(Schedule, WithoutNumbersTheRateStays) {
  const Schedule none = schedule({{"lr", 0.1}, {"clip", 1}});
  EXPECT_TRUE(none.constant());
  EXPECT_EQ(none.factor(0), 1);
  EXPECT_EQ(none.factor(0xffffffff), 1);
}

TEST(Schedule, WarmUpRisesLinearlyToTheWholeRate) {
  const Schedule warm = schedule({{"schedule.warmup", 4}});
  EXPECT_FALSE(warm.constant());
  EXPECT_DOUBLE_EQ(warm.factor(0), 0.25);
  EXPECT_DOUBLE_EQ(warm.factor(2), 0.75);
  EXPECT_DOUBLE_EQ(warm.factor(3), 1);
  EXPECT_DOUBLE_EQ(warm.factor(4), 1);
}

TEST(Schedule, StepFallsByItsFactorAfterEachSoManySteps) {
  const Schedule step = schedule({{"schedule.every", 10}, {"schedule.factor", 0.5}, {"schedule.warmup", 2}});
  EXPECT_DOUBLE_EQ(step.factor(1), 1);
  EXPECT_DOUBLE_EQ(step.factor(11), 1);
  EXPECT_DOUBLE_EQ(step.factor(12), 0.5);
  EXPECT_DOUBLE_EQ(step.factor(22), 0.25);
  EXPECT_DOUBLE_EQ(schedule({{"schedule.every", 10}}).factor(10), 0.1);
}

TEST(Schedule, CosineFallsToItsFloorAndStaysThere) {
  const Schedule cosine = schedule({{"schedule.steps", 110}, {"schedule.floor", 0.2}, {"schedule.warmup", 10}});
  EXPECT_DOUBLE_EQ(cosine.factor(4), 0.5);
  EXPECT_DOUBLE_EQ(cosine.factor(10), 1);
  EXPECT_DOUBLE_EQ(cosine.factor(35), 0.2 + 0.8 * (1 + std::cos(std::numbers::pi / 4)) / 2);
  EXPECT_DOUBLE_EQ(cosine.factor(60), 0.6);
  EXPECT_DOUBLE_EQ(cosine.factor(110), 0.2);
  EXPECT_DOUBLE_EQ(cosine.factor(5000), 0.2);
  EXPECT_EQ(schedule({{"schedule.steps", 5}, {"schedule.warmup", 10}}).factor(10), 0) << "all of it is warm-up";
  EXPECT_EQ(schedule({{"schedule.steps", 0}}).factor(7), 1) << "nobody said how long";
}

TEST(Schedule, NumbersThatDoNotGoTogetherAreSaid) {
  const auto said = [](const std::map<std::string, double>& numbers) {
    const auto checked = check_optimizer({"adam", numbers});
    EXPECT_TRUE(!checked && checked.error().code == Errc::kBadConfig);
    return checked ? "" : checked.error().what;
  };
  EXPECT_THAT(said({{"schedule.every", 5}, {"schedule.steps", 5}}), HasSubstr("two schedules"));
  EXPECT_THAT(said({{"schedule.factor", 0.5}}), HasSubstr("needs schedule.every"));
  EXPECT_THAT(said({{"schedule.floor", 0.5}}), HasSubstr("needs schedule.steps"));
  EXPECT_THAT(said({{"schedule.every", 0}}), HasSubstr("schedule.every of optimizer 'adam' is 0; it must be >= 1"));
  EXPECT_THAT(said({{"schedule.warmup", -1}}), HasSubstr("schedule.warmup"));
  EXPECT_THAT(said({{"schedule.warmpu", 1}}), HasSubstr("did you mean 'schedule.warmup'"));
  EXPECT_THAT(said({{"clip", 0}}), HasSubstr("clip of optimizer 'adam' is 0; it must be > 0"));
}

}  // namespace
}  // namespace sluice::server
