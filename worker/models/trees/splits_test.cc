#include "worker/models/trees/splits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/rng.h"

namespace sluice::worker::models::trees {
namespace {

/// By hand: gradients −1, −1, 2 and hessians 1 in three bins, λ = 1: G = 0, H = 3. After bin 0: ½ (1/2 + 1/3 − 0) = 5/12; after bin 1: ½ (4/3 + 4/2 − 0) = 5/3.
TEST(TreeSplits, GainsAndWeightsOfASmallHistogramAreThoseByHand) {
  const std::vector<float> histogram = {-1, 1, -1, 1, 2, 1};
  const SplitRules rules{.lambda = 1, .gamma = 0, .min_child_weight = 0};
  const auto split = best_split(histogram, 1, 3, rules);
  ASSERT_TRUE(split);
  EXPECT_EQ(split->bin, 1U);
  EXPECT_DOUBLE_EQ(split->gain, 5.0 / 3);
  EXPECT_DOUBLE_EQ(leaf_weight(split->left, rules), 2.0 / 3);
  EXPECT_DOUBLE_EQ(leaf_weight(split->right, rules), -1.0);
  EXPECT_FALSE(best_split(histogram, 1, 3, {.lambda = 1, .gamma = 1.67, .min_child_weight = 0}));
  EXPECT_EQ(best_split(histogram, 1, 3, {.lambda = 1, .gamma = 1.66, .min_child_weight = 1})->bin, 1U);
  EXPECT_FALSE(best_split(histogram, 1, 3, {.lambda = 1, .gamma = 0, .min_child_weight = 1.5}));
}

/// Every row against every threshold, in double precision: the same split.
TEST(TreeSplits, TheBestSplitIsTheOneThatASearchOverTheRowsFinds) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRng rng(seed);
    constexpr std::size_t kRows = 30, kFeatures = 4, kBins = 6;
    std::vector<std::vector<std::size_t>> bins(kRows, std::vector<std::size_t>(kFeatures));
    std::vector<double> g(kRows), h(kRows);
    std::vector<float> histogram(kFeatures * kBins * 2);
    for (std::size_t i = 0; i < kRows; ++i) {
      g[i] = static_cast<double>(rng.below(65)) / 16 - 2, h[i] = static_cast<double>(1 + rng.below(8)) / 8;  // exact as floats
      for (std::size_t f = 0; f < kFeatures; ++f) {
        bins[i][f] = rng.below(kBins);
        histogram[(f * kBins + bins[i][f]) * 2] += static_cast<float>(g[i]);
        histogram[(f * kBins + bins[i][f]) * 2 + 1] += static_cast<float>(h[i]);
      }
    }
    const SplitRules rules{.lambda = static_cast<double>(seed % 3), .gamma = seed % 5 == 0 ? 4.0 : 0.0, .min_child_weight = static_cast<double>(seed % 4)};
    double best = 0;
    std::size_t best_feature = kFeatures, best_bin = 0;
    for (std::size_t f = 0; f < kFeatures; ++f) {
      for (std::size_t b = 0; b + 1 < kBins; ++b) {
        double lg = 0, lh = 0, rg = 0, rh = 0;
        for (std::size_t i = 0; i < kRows; ++i) (bins[i][f] <= b ? lg : rg) += g[i], (bins[i][f] <= b ? lh : rh) += h[i];
        if (lh <= 0 || rh <= 0 || lh < rules.min_child_weight || rh < rules.min_child_weight) continue;
        const double gain =
            0.5 * (lg * lg / (lh + rules.lambda) + rg * rg / (rh + rules.lambda) - (lg + rg) * (lg + rg) / (lh + rh + rules.lambda)) - rules.gamma;
        if (gain > best + 1e-9) best = gain, best_feature = f, best_bin = b;
      }
    }
    const auto split = best_split(histogram, kFeatures, kBins, rules);
    ASSERT_EQ(split.has_value(), best_feature < kFeatures) << "seed " << seed;
    if (!split) continue;
    EXPECT_EQ(split->feature, best_feature) << "seed " << seed;
    EXPECT_EQ(split->bin, best_bin) << "seed " << seed;
    EXPECT_NEAR(split->gain, best, 1e-9);
  }
}

}  // namespace
}  // namespace sluice::worker::models::trees
