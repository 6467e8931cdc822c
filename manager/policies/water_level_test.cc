#include "manager/policies/water_level.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/rng.h"

namespace sluice::manager {
namespace {

double filled(const std::vector<double>& rates, const std::vector<std::uint32_t>& least, const std::vector<std::uint32_t>& most, double level) {
  double sum = 0;
  for (std::size_t i = 0; i < rates.size(); ++i) sum += std::clamp(rates[i] * level, static_cast<double>(least[i]), static_cast<double>(most[i]));
  return sum;
}

TEST(WaterLevel, WhatThereIsIsFilledExactlyWhereverTheKinksAre) {
  std::size_t between = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    std::vector<double> rates;
    std::vector<std::uint32_t> least, most;
    std::uint64_t minimums = 0, maximums = 0;
    for (std::uint64_t n = 1 + rng.below(40); n > 0; --n) {
      rates.push_back(rng.below(4) == 0 ? 1e-3 * (0.1 + rng.uniform()) : 0.1 + 10 * rng.uniform());
      least.push_back(static_cast<std::uint32_t>(rng.below(3) == 0 ? rng.below(5) : 0));
      most.push_back(least.back() + static_cast<std::uint32_t>(rng.below(2) == 0 ? rng.below(4) : rng.below(1000)));
      minimums += least.back(), maximums += most.back();
    }
    const auto there_is = static_cast<std::uint32_t>(minimums + rng.below(maximums - minimums + 3));
    const WaterLevel got = water_level(rates, least, most, there_is);
    EXPECT_EQ(got.enough, maximums <= there_is);
    EXPECT_NEAR(filled(rates, least, most, got.level), std::min<double>(there_is, static_cast<double>(maximums)), 1e-9 * (1.0 + there_is));
    between += got.enough ? 0 : 1;
    // Who can have nothing is as if he were not there.
    rates.insert(rates.begin(), 3.3), least.insert(least.begin(), 0U), most.insert(most.begin(), 0U);
    EXPECT_EQ(water_level(rates, least, most, there_is).level, got.level);
  }
  EXPECT_GT(between, 1000U);
}

TEST(WaterLevel, NobodyOrNothing) {
  EXPECT_TRUE(water_level({}, {}, {}, 5).enough);
  const std::vector<double> rates = {1, 2};
  const std::vector<std::uint32_t> none = {0, 0}, two = {2, 2};
  EXPECT_EQ(filled(rates, none, two, water_level(rates, none, two, 0).level), 0);
  EXPECT_TRUE(water_level(rates, none, none, 3).enough);
}

}  // namespace
}  // namespace sluice::manager
