/// RemainingPrior: what it learns, keeps, and refuses.
#include "manager/remaining_prior.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/rng.h"

namespace sluice::manager {
namespace {

/// Falls from 2 to about .5 as e^(−rate × share).
std::vector<LossPoint> falling_points(double rate, std::uint64_t steps) {
  std::vector<LossPoint> points;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const std::uint64_t step = i * steps / 100;
    points.push_back({.step = step, .examples = step * 10, .loss = 0.5 + 1.5 * std::exp(-rate * static_cast<double>(i) / 100), .weight = 10});
  }
  return points;
}

TEST(RemainingPriorTest, ItsMeanIsThatOfTheFamilysPastJobs) {
  RemainingPrior prior;
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(prior.learn("mlp", falling_points(5, 1000), 1000));
  ASSERT_TRUE(prior.learn("slow", falling_points(1, 1000), 1000));
  const auto fast = prior.remaining("mlp", 0.4), slow = prior.remaining("slow", 0.4), other = prior.remaining("new", 0.4);
  EXPECT_NEAR(fast.mean, std::exp(-5 * 0.4), 0.06);
  EXPECT_EQ(fast.jobs, 40);
  EXPECT_GT(slow.mean, fast.mean);
  EXPECT_TRUE(other.mean > fast.mean && other.mean < 0.7) << "an unknown family is told the mean over the families: " << other.mean;
  EXPECT_EQ(other.jobs, 0);
}

TEST(RemainingPriorTest, ItNeverRisesWithTheShareAndStaysWithinZeroAndOne) {
  RemainingPrior prior;
  auto points = falling_points(3, 500);
  points[40].loss = 5, points[70].loss = 0.1;  // a spike, a lucky report
  ASSERT_TRUE(prior.learn("a", points, 500));
  double before = 1;
  for (double share = 0; share <= 1.2; share += 0.01) {
    const double now = prior.remaining("a", share).mean;
    ASSERT_LE(now, before + 1e-12);
    ASSERT_GE(now, 0);
    before = now;
  }
}

TEST(RemainingPriorTest, FewReportsOfLongWindowsDoNotMakeItLag) {
  // Twelve reports, each the mean of e^(−6 share) over its twelfth of the steps.
  const auto integral = [](double share) { return (1 - std::exp(-6 * share)) / 6; };
  std::vector<LossPoint> points = {{.step = 1, .examples = 1, .loss = 1, .weight = 1}};
  for (std::uint64_t i = 1; i <= 12; ++i) {
    const double from = (static_cast<double>(i) - 1) / 12, to = static_cast<double>(i) / 12;
    points.push_back({.step = 1 + 100 * i, .examples = 1 + 100 * i, .loss = 12 * (integral(to) - integral(from)), .weight = 100});
  }
  RemainingPrior prior;
  ASSERT_TRUE(prior.learn("a", points, 1201));
  for (double share = 0; share <= 1; share += 0.05) EXPECT_NEAR(prior.remaining("a", share).mean, std::exp(-6 * share), 0.03) << share;
}

TEST(RemainingPriorTest, ReportsOfALongJobThatScatterLeaveNothingAtItsEnd) {
  RemainingPrior prior;
  const auto loss_at = [](double share) { return 0.3 + 2 / std::sqrt(1 + 1000 * share); };
  constexpr std::uint64_t kReports = 20'000;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    SeededRng rng(mix64(seed));
    LossCurve heard;
    for (std::uint64_t i = 1; i <= kReports; ++i) {
      const double noise = 0.35 * (rng.uniform() - 0.5);  // a twentieth of the range
      (void)heard.add({.step = i, .examples = 100 * i, .loss = loss_at((static_cast<double>(i) - 0.5) / kReports) + noise, .weight = 100});
    }
    ASSERT_TRUE(prior.learn("a", heard.points(), kReports));
  }
  for (const double share : {0.25, 0.5, 0.75, 1.0})
    EXPECT_NEAR(prior.remaining("a", share).mean, (loss_at(share) - loss_at(1)) / (loss_at(0) - loss_at(1)), 0.02) << share;
}

TEST(RemainingPriorTest, CurvesThatNeverFellOrAreTooShortTeachNothing) {
  RemainingPrior prior;
  auto rising = falling_points(3, 500);
  std::reverse(rising.begin(), rising.end());
  for (std::size_t i = 0; i < rising.size(); ++i) rising[i].step = i + 1;
  EXPECT_FALSE(prior.learn("a", rising, 100));
  const auto few = falling_points(3, 500);
  EXPECT_FALSE(prior.learn("a", std::span(few).first(RemainingPrior::kPointsMin - 1), 500));
  EXPECT_FALSE(prior.learn("a", falling_points(3, 500), std::nan("")));
  EXPECT_EQ(prior.remaining("a", 0.5).mean, 0.5) << "it knows nothing";
}

TEST(RemainingPriorTest, AnUndeclaredLengthIsTheMedianOfThosePastJobsThatWentOnFurther) {
  RemainingPrior prior;
  for (const double total : {100.0, 200.0, 300.0, 1000.0}) prior.learn("a", falling_points(3, static_cast<std::uint64_t>(total)), total);
  EXPECT_EQ(prior.total_steps("a", 50).steps, 200);
  EXPECT_EQ(prior.total_steps("a", 250).steps, 300);
  EXPECT_EQ(prior.total_steps("a", 5000).steps, 10000);
  EXPECT_EQ(prior.total_steps("a", 5000).jobs, 0);
  EXPECT_EQ(prior.total_steps("b", 7).steps, 14);
}

TEST(RemainingPriorTest, WhatShipsKnowsTheModelsOfTheExampleSweepAndTellsOthersTheirMean) {
  const RemainingPrior prior = RemainingPrior::shipped();
  for (const char* model : {"mlp", "softmax", "no such model"}) {
    EXPECT_GT(prior.remaining(model, 0).mean, 0.9) << model;
    EXPECT_LT(prior.remaining(model, 0.5).mean, 0.3) << model;
    EXPECT_LT(prior.remaining(model, 1).mean, 0.1) << model;
  }
  EXPECT_GT(prior.remaining("mlp", 0.5).jobs, 0);
}

TEST(RemainingPriorTest, ARecordOfAnOlderBuildIsToldFromOneThatIsDamaged) {
  EXPECT_TRUE(RemainingPrior::of_older_build(nlohmann::json::parse(R"({"version":1,"shares":64,"families":{}})")));
  EXPECT_FALSE(RemainingPrior::of_older_build(RemainingPrior().to_json()));
  for (const char* bad : {"7", "[]", "{}", "{", R"({"version":"one"})", R"({"version":null})"})
    EXPECT_FALSE(RemainingPrior::of_older_build(nlohmann::json::parse(bad, nullptr, false))) << bad;
}

TEST(RemainingPriorTest, GoesThroughJsonUnchangedAndRefusesWhatIsNotItsOwn) {
  RemainingPrior prior;
  for (int i = 1; i < 100; ++i) prior.learn(i % 2 == 0 ? "a" : "b", falling_points(i % 7 + 1, 500), 400 + i);
  const auto json = prior.to_json();
  const auto back = RemainingPrior::from_json(json);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->to_json(), json);
  EXPECT_EQ(back->remaining("a", 0.33).mean, prior.remaining("a", 0.33).mean);
  for (const char* bad : {"7", "[]", "{}", R"({"version":1,"shares":64,"families":{}})", R"({"version":2,"shares":64,"families":{"a":{}}})",
                          R"({"version":2,"shares":64,"families":{"a":{"jobs":1,"sum":[1],"squares":[1],"steps":[5]}}})"})
    EXPECT_FALSE(RemainingPrior::from_json(nlohmann::json::parse(bad))) << bad;
}

}  // namespace
}  // namespace sluice::manager
