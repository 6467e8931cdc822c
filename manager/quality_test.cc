#include "manager/quality.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"

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

/// The first report after a move is often of one batch.
TEST(Quality, AReportOfFewExamplesMovesTheSmoothedLossByLittle) {
  std::vector<LossPoint> points;
  std::uint64_t examples = 0;
  const auto say = [&](double loss, std::uint64_t count) { points.push_back({.examples = examples += count, .loss = loss}); };
  for (int i = 0; i < 8; ++i) say(1, 100);
  say(0, 1);
  EXPECT_NEAR(smoothed(points).back(), 1, 0.011);
  say(0, 100);
  EXPECT_NEAR(smoothed(points).back(), 0.5, 0.1) << "one of many weighs nearly as before";
  say(0, 10000);
  EXPECT_LT(smoothed(points).back(), 0.01);
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

TEST(Quality, AFallIsExpectedToGoOnAsOneOverTheSteps) {
  EXPECT_EQ(expected_fall({}, 10), 0);
  EXPECT_EQ(expected_fall(curve({4, 3}), 10), 0) << "two reports show no curve";
  EXPECT_EQ(expected_fall(curve({3, 4, 5, 6}), 10), 0) << "a rising loss";
  const auto power = [](double p) {
    std::vector<LossPoint> points;
    for (std::uint64_t step = 10; step <= 400; step += 10) {
      auto& point = points.emplace_back();
      point.step = step, point.weight = 10;
      point.loss = 1 + 50 * std::pow(static_cast<double>(step) - 5, -p);  // in the middle of its steps
    }
    return points;
  };
  for (const double ahead : {10.0, 100.0, 1000.0}) {
    const auto truth = [&](double p) { return 50 * (std::pow(400.0, -p) - std::pow(400.0 + ahead, -p)); };
    EXPECT_NEAR(expected_fall(power(1), ahead), truth(1), 0.05 * truth(1)) << ahead;
    EXPECT_LT(expected_fall(power(0.5), ahead), truth(0.5)) << "a lower power falls further: " << ahead;
    EXPECT_GT(expected_fall(power(0.5), ahead), 0.5 * truth(0.5)) << ahead;
  }
  auto flat = power(1);
  for (auto& point : flat)
    if (point.step > 190) point.loss = flat[19].loss;
  EXPECT_EQ(expected_fall(flat, 100), 0) << "what was before half of the steps counts no more";
}

/// 20,000 reports, an hour and a half of a live job, that scatter by a twentieth of the range.
TEST(Quality, TheExpectedFallOfALongJobIsNotItsReportsNoise) {
  double said = 0;
  constexpr int kJobs = 20;
  const auto loss_at = [](double step) { return 0.3 + 2 / std::sqrt(1 + step / 20); };
  for (std::uint64_t seed = 1; seed <= kJobs; ++seed) {
    SeededRng rng(mix64(seed));
    LossCurve heard;
    for (std::uint64_t step = 1; step <= 20'000; ++step)
      (void)heard.add({.step = step, .examples = 100 * step, .loss = loss_at(static_cast<double>(step) - 0.5) + 0.35 * (rng.uniform() - 0.5), .weight = 100});
    said += expected_fall(heard.points(), 4) / kJobs;
  }
  const double truth = loss_at(20'000) - loss_at(20'004);
  EXPECT_GT(said, 0.5 * truth);
  EXPECT_LT(said, 2 * truth);
}

TEST(Quality, TheExpectedFallOfFewAndOfThinnedReportsTakesTheLastTwo) {
  auto points = curve({9, 5, 3});
  points[0].step = 100, points[1].step = 900, points[2].step = 1000;  // in their middles: 5 at 500, 3 at 950
  EXPECT_NEAR(expected_fall(points, 150), 2.0 / 450 * 500 * 950 * 150 / (1000.0 * 1150), 1e-9);
}

TEST(Quality, AHugeLossLeavesNoTraceInTheBestLevel) {
  std::vector<double> losses(30, 1.0);
  losses[0] = 1e30;
  EXPECT_DOUBLE_EQ(best_level(curve(losses)), 1);
}

TEST(Quality, ReportsWeighWhatTheyHaveExamples) {
  auto points = curve({4, 1});
  points[1].examples = 100, points[1].weight = 99;  // one example at 4, 99 at 1
  EXPECT_DOUBLE_EQ(best_level(points), 1.03);
}

TEST(Quality, TimeToAFractionIsWhenTheSmoothedLossFirstReachesIt) {
  const auto points = curve({4, 0, 0, 0, 0, 0});  // smoothed 4, 2, 1, .5, .25, .125
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.5), 2.0);
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.9), 5.0);
  EXPECT_EQ(seconds_to_fraction(points, 4, 0, 0.99), std::nullopt);
  EXPECT_EQ(seconds_to_fraction(points, 4, 4, 0.9), std::nullopt);
  EXPECT_EQ(seconds_to_fraction(std::span<const LossPoint>{}, 4, 0, 0.9), std::nullopt);
}

TEST(Quality, LossSecondsCountTheWaitBeforeTheFirstReportInFull) {
  const auto points = curve({4, 0, 0});  // q: 1 until 1 s, 1 until 2 s, 1/2 until 3 s, then 1/4
  EXPECT_DOUBLE_EQ(loss_seconds(points, 4, 0, 3), 2.5);
  EXPECT_DOUBLE_EQ(loss_seconds(points, 4, 0, 5), 3.0);
  EXPECT_DOUBLE_EQ(loss_seconds(std::span<const LossPoint>{}, 4, 0, 5), 5.0);
  EXPECT_DOUBLE_EQ(loss_seconds(curve({1, 2}), 1, 1, 5), 5.0);
}

TEST(Quality, ACurveThatBeginsLateIsNotHeldByItsFirstPoint) {
  std::vector<LossPoint> points(8);  // a restored job's: its first report is of its whole life, as its count of examples has it
  for (std::size_t i = 0; i < points.size(); ++i) points[i].examples = 1'000'000 + 2000 * i, points[i].loss = i == 0 ? 4 : 1;
  EXPECT_LT(smoothed(points).back(), 1.1);
  for (LossPoint& p : points) p.examples = 0, p.weight = 2000;
  EXPECT_LT(smoothed(points).back(), 1.1);
}

TEST(Quality, AJobThatLostMostOfItsSlotsIsHeardInItsSmallerReports) {
  SmoothLoss smooth;
  for (int i = 0; i < 20; ++i) smooth.add(4, 1000);
  smooth.add(1, 10);
  EXPECT_GT(smooth.loss(), 3.9) << "one of few examples may be luck";
  for (int i = 0; i < 60; ++i) smooth.add(1, 10);
  EXPECT_LT(smooth.loss(), 1.1);
}

TEST(Quality, TheFinalLossHoldsNothingOfTheFirst) {
  std::vector<LossPoint> points;
  const double losses[] = {30, 4, 0.5, 0.02, 0.01, 0.012};
  for (std::size_t i = 0; i < 6; ++i) {
    LossPoint p;
    p.examples = 1000 * (i + 1);
    p.loss = losses[i];
    points.push_back(p);
  }
  EXPECT_EQ(final_level(points), 0.012) << "the last report alone holds a tenth of the examples";
  points.back().examples = 5100;  // a short one: the report before it counts too
  EXPECT_NEAR(final_level(points), (100 * 0.012 + 1000 * 0.01) / 1100, 1e-12);
  EXPECT_EQ(final_level({}), 0);
}

TEST(Quality, OfAGroupTheBestSoFarCounts) {
  const auto curve = [](std::initializer_list<std::pair<double, double>> points) {
    std::vector<LossPoint> out;
    for (const auto& [seconds, loss] : points) out.push_back({.seconds = seconds, .loss = loss});
    return out;
  };
  const auto a = curve({{1, 4}, {2, 2}, {3, 6}}), b = curve({{1, 4}, {2, 0}});
  const std::vector<GroupMember> members = {{0, a}, {4, b}};
  const auto levels = best_of(members);  // a: 4, 3, 4.5; b from 4 s on: 4, 2
  ASSERT_EQ(levels.size(), 3U);
  EXPECT_EQ(levels[0].loss, 4);
  EXPECT_EQ(levels[1].seconds, 2);
  EXPECT_EQ(levels[1].loss, 3);
  EXPECT_EQ(levels[2].seconds, 6);
  EXPECT_EQ(levels[2].loss, 2);
  EXPECT_EQ(seconds_to_fraction(levels, 4, 2, 0.5), 2);
  EXPECT_DOUBLE_EQ(loss_seconds(levels, 4, 2, 8), 2 + 4 * 0.5) << "all of it is left until 2 s, a half until 6 s";
}

}  // namespace
}  // namespace sluice::manager
