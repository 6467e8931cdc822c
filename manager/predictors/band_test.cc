/// Whatever errors are drawn from, and when that changes, the shares that are meant to lie within the bands do.
#include "manager/predictors/band.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/rng.h"

namespace sluice::manager {
namespace {

/// Shares of `count` errors that lay within the bands as they stood before each; expected deviations are always 1.
std::array<double, Band::kQuantiles> inside(const std::function<double(int, Rng&)>& error, int count) {
  SeededRng rng(8);
  Band band;
  std::array<double, Band::kQuantiles> out{};
  for (int i = 0; i < count; ++i) {
    const double off = error(i, rng);
    for (std::size_t q = 0; q < Band::kQuantiles; ++q) out[q] += std::log(std::abs(off)) <= band.quantiles()[q] ? 1.0 / count : 0;
    band.learn(off, 1);
  }
  return out;
}

double bell(Rng& rng) { return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform()); }

TEST(Band, HoldsTheSharesOfAnyDistribution) {
  const std::vector<std::pair<const char*, std::function<double(int, Rng&)>>> kinds = {
      {"normal", [](int, Rng& rng) { return bell(rng); }},
      {"a tenth of what was expected", [](int, Rng& rng) { return 0.1 * bell(rng); }},
      {"thirty times that", [](int, Rng& rng) { return 30 * bell(rng); }},
      {"even", [](int, Rng& rng) { return rng.uniform() + 1e-9; }},
      {"heavy tails", [](int, Rng& rng) { return bell(rng) / std::max(0.05, std::abs(bell(rng))); }},
      {"falling by half every twenty", [](int i, Rng& rng) { return bell(rng) * std::exp2(-i / 20.0); }},
      {"jumping", [](int i, Rng& rng) { return bell(rng) * (i / 100 % 2 == 0 ? 1 : 20); }}};
  for (const auto& [kind, error] : kinds) {
    const auto share = inside(error, 300);
    for (std::size_t q = 0; q < Band::kQuantiles; ++q) EXPECT_NEAR(share[q], Band::kInside[q], 0.07) << kind << ", " << Band::kInside[q];
  }
}

TEST(Band, QuantilesRiseAndErrorsOfZeroDoNotEndIt) {
  Band band;
  for (int i = 0; i < 1000; ++i) {
    band.learn(0, 1);
    const auto q = band.quantiles();
    ASSERT_TRUE(std::isfinite(q[0]));
    ASSERT_LT(q[0], q[1]);
    ASSERT_LT(q[1], q[2]);
  }
  for (int i = 0; i < 20; ++i) band.learn(1, 1);
  EXPECT_GT(band.quantiles()[1], -2) << "and it finds back";
}

/// A walk whose step a report is a bell: forecasts of no change, d reports ahead, err by √d of its steps.
TEST(Bands, HoldTheirSharesAtEveryDistance) {
  SeededRng rng(4);
  Bands bands;
  std::vector<double> walk = {0};
  std::array<std::array<double, Band::kQuantiles>, Bands::kDistances> inside{};
  constexpr int kReports = 3000, kFrom = 200;
  for (int i = 1; i < kReports; ++i) walk.push_back(walk.back() + bell(rng));
  for (int i = 0; i + 20 < kReports; ++i) {
    bands.learn(i, walk[static_cast<std::size_t>(i)]);
    for (std::size_t d = 0; d < Bands::kDistances; ++d) {
      const double off = walk[static_cast<std::size_t>(i + static_cast<int>(Bands::kAhead[d]))] - walk[static_cast<std::size_t>(i)];
      for (std::size_t q = 0; q < Band::kQuantiles; ++q)
        inside[d][q] += i >= kFrom && std::log(std::abs(off)) <= bands.quantiles(d)[q] ? 1.0 / (kReports - 20 - kFrom) : 0;
      if (bands.wants(d, i + 1)) bands.keep(d, i + 1, i, 1, {.last = walk[static_cast<std::size_t>(i)], .change = 0, .deviation = 1});
    }
  }
  for (std::size_t d = 0; d < Bands::kDistances; ++d)
    for (std::size_t q = 0; q < Band::kQuantiles; ++q) EXPECT_NEAR(inside[d][q], Band::kInside[q], 0.07) << Bands::kAhead[d] << ", " << Band::kInside[q];
}

TEST(Bands, AReportThatComesLaterIsExpectedToHaveChangedMore) {
  Bands early, late;
  for (int i = 0; i < 50; ++i) {
    early.learn(i, 2.0 * i);
    early.keep(0, i + 1, i, 1, {.last = 2.0 * i, .change = 2, .deviation = 1});
    late.learn(3 * i, 6.0 * i);  // a report is one step, and comes after three
    late.keep(0, i + 1, 3 * i, 1, {.last = 6.0 * i, .change = 2, .deviation = 1});
  }
  EXPECT_LT(early.quantiles(0)[2], -6);
  EXPECT_NEAR(late.quantiles(0)[2], early.quantiles(0)[2], 1e-3);
}

}  // namespace
}  // namespace sluice::manager
