/// A curve of one of the four families, seen without noise, is found to the last digits that matter; one with noise stays sane.
#include "manager/predictors/free_curve.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/rng.h"

namespace sluice::manager {
namespace {

/// Fits after each of `reports` reports of `loss`, the newest 32 of them. Forgetting and what it costs to be sure of a curve are as in the ensemble.
FreeCurves fitted(const std::function<double(double)>& loss, int reports, double noise = 0) {
  FreeCurves curves;
  for (int k = 1; k <= reports; ++k) {
    std::vector<SeenReport> seen;
    for (int age = 0; age < std::min(k, 32); ++age) seen.push_back({static_cast<double>(age), loss(k - age) - loss(k), 1});
    curves.refit(seen, k, noise);
  }
  return curves;
}

TEST(FreeCurves, ForetellExponentialsAndPowersWithoutNoise) {
  const std::vector<std::pair<std::size_t, std::function<double(double)>>> kinds = {{0, [](double k) { return 1 + 3 * std::exp(-k / 20); }},
                                                                                    {0, [](double k) { return 2 + 0.5 * std::exp(-k / 7); }},
                                                                                    {1, [](double k) { return 1 + 3 / std::sqrt(1 + k / 5); }},
                                                                                    {2, [](double k) { return 1 + 3 / (1 + k / 5); }},
                                                                                    {3, [](double k) { return 1 + 3 / ((1 + k / 15) * (1 + k / 15)); }}};
  for (const auto& [family, loss] : kinds) {
    const FreeCurves curves = fitted(loss, 30);
    const double change = loss(50) - loss(30);
    // The slowest forgetting rate sees most of the curve.
    const std::size_t index = (FreeCurves::kRates - 1) * FreeCurves::kFamilies + family;
    EXPECT_NEAR(FreeCurves::change(index, curves.fits()[index], 20), change, 0.03 * std::abs(change)) << "family " << family;
    EXPECT_NEAR(curves.fits()[index].level, 0, 1e-3) << "family " << family;
  }
}

TEST(FreeCurves, ALineStaysALine) {
  const FreeCurves curves = fitted([](double k) { return 5 - 0.1 * k; }, 40);
  EXPECT_NEAR(FreeCurves::change(0, curves.fits()[0], 5), -0.5, 0.1) << "the usual decay pulls a little";
}

TEST(FreeCurves, WhereThereIsNoiseTheDecayIsAboutTheUsual) {
  SeededRng rng(3);
  std::vector<double> noisy;
  for (int k = 0; k <= 60; ++k) noisy.push_back(1 + 1 / (1 + k / 10.0) + 0.1 * (rng.uniform() - 0.5));
  const FreeCurves curves = fitted([&](double k) { return noisy[static_cast<std::size_t>(k)]; }, 60, 0.01 / 12);
  for (std::size_t rate = 0; rate < FreeCurves::kRates; ++rate) {
    const double decay = curves.fits()[rate * FreeCurves::kFamilies].decay * 60;
    EXPECT_GT(decay, -10) << "rate " << rate;
    EXPECT_LT(decay, 20) << "rate " << rate;
  }
}

TEST(FreeCurves, WhateverIsSeenChangesAreFinite) {
  SeededRng rng(4);
  FreeCurves curves;
  for (int k = 0; k < 300; ++k) {
    std::vector<SeenReport> seen = {{0, 0, 1}};
    double age = 0;
    for (int i = 0; i < 31; ++i)
      age += std::pow(10, 6 * rng.uniform() - 3), seen.push_back({age, std::pow(10, 20 * rng.uniform() - 15) * (rng.uniform() - 0.5), 1 + 3 * rng.uniform()});
    curves.refit(seen, age, k % 2 == 0 ? 0 : 1e-3);
    for (std::size_t i = 0; i < FreeCurves::kFits; ++i)
      for (const double reports : {0.0, 1.0, 50.0, 1e15, 1e300})
        ASSERT_TRUE(std::isfinite(FreeCurves::change(i, curves.fits()[i], reports))) << i << ", " << reports;
  }
}

}  // namespace
}  // namespace sluice::manager
