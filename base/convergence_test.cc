#include "base/convergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "base/rng.h"

namespace sluice {
namespace {
using testing::HasSubstr;

std::vector<LossPoint> curve_of(const std::function<double(double)>& loss, int reports, double noise, std::uint64_t seed = 1) {
  SeededRng rng(seed);
  std::vector<LossPoint> out;
  for (int i = 1; i <= reports; ++i) {
    // Sum of twelve uniform numbers: about a bell curve.
    double bell = -6;
    for (int k = 0; k < 12; ++k) bell += rng.uniform();
    const auto step = static_cast<std::uint64_t>(i) * 10;
    out.push_back({step, step * 100, i * 0.2, loss(static_cast<double>(step)) + noise * bell, 0.1, 1000});
  }
  return out;
}

/// The first report at which it counts as converged; 0: never.
std::size_t converges_at(const std::vector<LossPoint>& curve) {
  for (std::size_t i = 1; i <= curve.size(); ++i)
    if (flatness(std::span(curve).first(i)).converged) return i;
  return 0;
}

TEST(Convergence, ALossThatHasStoppedFallingHasConvergedAndOneThatFallsHasNot) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto falls = curve_of([](double s) { return 2 - s / 4000; }, 200, 0.01, seed);
    EXPECT_EQ(converges_at(falls), 0U) << "a straight fall of " << seed;
    const auto stops = curve_of([](double s) { return 0.3 + 2 * std::exp(-s / 150); }, 250, 0.01, seed);
    const std::size_t at = converges_at(stops);
    ASSERT_GT(at, 0U) << seed;
    EXPECT_LT(2 * std::exp(-10.0 * static_cast<double>(at) / 150), 0.02 * 2) << "98 % of the fall is done, seed " << seed;
    EXPECT_THAT(converged_words(std::span(stops).first(at)), HasSubstr("converged: over the last 40 % of its"));
  }
}

TEST(Convergence, ALossThatNeverFallsOrRisesHasConvergedToo) {
  EXPECT_GT(converges_at(curve_of([](double) { return 2.3; }, 100, 0)), 0U);
  EXPECT_GT(converges_at(curve_of([](double s) { return 1 + s / 1000; }, 100, 0)), 0U);
}

TEST(Convergence, NoiseAsLargeAsTheQuestionIsNoAnswer) {
  // 24 reports of a loss that scatters by its whole range say nothing.
  for (std::uint64_t seed = 1; seed <= 20; ++seed) EXPECT_EQ(converges_at(curve_of([](double) { return 1.0; }, 60, 0.2, seed)), 0U) << seed;
  EXPECT_FALSE(flatness({}).enough);
  EXPECT_FALSE(flatness(curve_of([](double) { return 1.0; }, 15, 0)).enough);
}

}  // namespace
}  // namespace sluice
