#include "manager/running_quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/rng.h"

namespace sluice::manager {
namespace {

struct Told {
  RunningQuality running;
  std::vector<LossPoint> all;
  void say(double seconds, double loss, std::uint64_t weight) {
    all.push_back({.step = all.size() + 1, .examples = 0, .seconds = seconds, .loss = loss, .spread = 0, .weight = weight});
    smooth_.add(loss, static_cast<double>(weight));
    running.add(seconds, loss, static_cast<double>(weight), smooth_.loss());
  }
  [[nodiscard]] double first() const { return all.front().loss; }
  [[nodiscard]] double best() const { return best_level(all); }

 private:
  SmoothLoss smooth_;
};

/// Reports four times a second for hours: the first of one batch, those after a move of few.
Told long_life(const std::function<double(double)>& loss_at, double noise, std::size_t reports, std::uint64_t seed) {
  Told out;
  SeededRng rng(mix64(seed));
  for (std::size_t i = 0; i < reports; ++i) {
    const std::uint64_t weight = i == 0 ? 100 : rng.below(20) == 0 ? 150 : 1000;
    double bell = -6;
    for (int k = 0; k < 12; ++k) bell += rng.uniform();
    out.say(0.25 * static_cast<double>(i + 1), loss_at(static_cast<double>(i)) + noise * bell * std::sqrt(1000 / static_cast<double>(weight)), weight);
  }
  return out;
}

TEST(RunningQuality, OfALongLifeItTellsWhatAllReportsTell) {
  const std::function<double(double)> shapes[] = {[](double x) { return 0.3 + 2 * std::exp(-x / 100); },
                                                  [](double x) { return 0.3 + 2 * std::exp(-x / 3000); },
                                                  [](double x) { return 0.3 + 2 / std::sqrt(1 + x / 20); },
                                                  [](double x) { return 0.3 + 2 * std::pow(1 + x / 20, -0.3); },
                                                  [](double x) { return 0.3 + 2 * std::exp(-x / 200) + x / 20'000; },
                                                  [](double x) { return 1 - x / 1e6; }};
  for (const auto& shape : shapes)
    for (const double noise : {0.0, 0.02, 0.1, 0.3})
      for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const Told told = long_life(shape, noise, 10'000, seed);
        SCOPED_TRACE(testing::Message() << "shape " << &shape - shapes << ", noise " << noise << ", seed " << seed);
        EXPECT_DOUBLE_EQ(told.running.best(), told.best());
        const auto to_90 = told.running.seconds_to_90(), truth = seconds_to_fraction(told.all, told.first(), told.best(), 0.9);
        ASSERT_EQ(to_90.has_value(), truth.has_value());
        if (truth) {
          EXPECT_GE(*to_90, *truth);
          EXPECT_LE(*to_90, *seconds_to_fraction(told.all, told.first(), told.best(), 0.905));
        }
        const double until = told.all.back().seconds + 10;
        EXPECT_NEAR(told.running.loss_seconds(until), loss_seconds(told.all, told.first(), told.best(), until), 0.01 * until);
      }
}

TEST(RunningQuality, OfAFewReportsItTellsExactlyThat) {
  for (const auto& losses : {std::vector<double>{4, 2, 2}, {1, 1, 1}, {1, 2, 3}, {3}, {4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 5}, {-1, -2, -3, -3, -3}}) {
    Told told;
    for (const double loss : losses) told.say(static_cast<double>(told.all.size()) + 1, loss, 10);
    EXPECT_DOUBLE_EQ(told.running.best(), told.best());
    EXPECT_EQ(told.running.seconds_to_90(), seconds_to_fraction(told.all, told.first(), told.best(), 0.9));
    EXPECT_NEAR(told.running.loss_seconds(20), loss_seconds(told.all, told.first(), told.best(), 20), 1e-9);
  }
  const RunningQuality nothing;
  EXPECT_EQ(nothing.best(), 0);
  EXPECT_FALSE(nothing.seconds_to_90());
  EXPECT_EQ(nothing.loss_seconds(5), 5);
}

}  // namespace
}  // namespace sluice::manager
