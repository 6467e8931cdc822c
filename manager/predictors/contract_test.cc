/// The contract of manager/predictor.h over every registered predictor; and that a fitted curve beats "the last delta goes on".
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/clock.h"
#include "base/rng.h"
#include "manager/predictor.h"

namespace sluice::manager {
namespace {

using Curve = std::vector<double>;

std::unique_ptr<Predictor> predictor_named(const std::string& name) {
  static const PredictorRegistry registry = builtin_predictors();
  return (**registry.find(name))();
}

/// Normal by Box-Muller.
double gaussian(Rng& rng) { return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform()); }

Curve sampled(const std::function<double(double)>& f, std::size_t points, double noise, std::uint64_t seed) {
  SeededRng rng(seed);
  const double range = f(0) - f(static_cast<double>(points));
  Curve curve;
  for (std::size_t i = 0; i < points; ++i) curve.push_back(f(static_cast<double>(i)) + noise * range * gaussian(rng));
  return curve;
}

LossPoint point(std::uint64_t step, double loss) {
  return {.step = step, .examples = step * 128, .seconds = static_cast<double>(step), .loss = loss, .spread = 0, .weight = 128};
}

/// Mean absolute error `ahead` reports ahead against `truth`, as a share of the curve's range; forecasts begin after 10 reports.
double error_of(const std::string& name, const Curve& seen, const Curve& truth, std::size_t ahead) {
  auto predictor = predictor_named(name);
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i + ahead < seen.size(); ++i) {
    predictor->observe(point(5 * (i + 1), seen[i]));
    (void)predictor->refit();
    if (i < 10) continue;
    sum += std::abs(predictor->after(5.0 * static_cast<double>(ahead)).mean - truth[i + ahead]);
    ++count;
  }
  const auto [low, high] = std::minmax_element(truth.begin(), truth.end());
  return sum / static_cast<double>(count) / (*high - *low);
}

class PredictorContract : public testing::TestWithParam<std::string> {};

TEST_P(PredictorContract, ForecastsAreFiniteWhateverIsReported) {
  const std::vector<std::pair<std::string, std::function<double(std::uint64_t, Rng&)>>> kinds = {
      {"falling", [](std::uint64_t i, Rng&) { return 3.0 / static_cast<double>(i + 1) + 0.2; }},
      {"flat", [](std::uint64_t, Rng&) { return 0.7; }},
      {"zero", [](std::uint64_t, Rng&) { return 0.0; }},
      {"rising", [](std::uint64_t i, Rng&) { return static_cast<double>(i); }},
      {"exploding", [](std::uint64_t i, Rng&) { return std::pow(10.0, static_cast<double>(i)); }},
      {"noise", [](std::uint64_t, Rng& rng) { return rng.uniform(); }},
      {"negative", [](std::uint64_t i, Rng&) { return -static_cast<double>(i); }},
      {"tiny", [](std::uint64_t i, Rng&) { return 1e-300 / static_cast<double>(i + 1); }},
      {"steps", [](std::uint64_t i, Rng&) { return i % 20 < 10 ? 1e6 : 1e-6; }},
      {"largest", [](std::uint64_t i, Rng&) { return i % 2 == 0 ? std::numeric_limits<double>::max() : -std::numeric_limits<double>::max(); }}};
  for (const auto& [kind, loss] : kinds) {
    SCOPED_TRACE(kind);
    SeededRng rng(5);
    auto predictor = predictor_named(GetParam());
    std::uint64_t step = 0;
    for (std::uint64_t i = 0; i < 250; ++i) {
      step += 1 + rng.below(i % 7 == 0 ? 100000 : 10);
      predictor->observe(point(step, loss(i, rng)));
      (void)predictor->refit();
      if (!predictor->ready()) continue;
      ASSERT_TRUE(std::isfinite(predictor->floor()));
      for (const double k : {0.0, 1.0, 17.0, 1e6, 1e15}) {
        const Forecast f = predictor->after(k);
        ASSERT_TRUE(std::isfinite(f.mean)) << "report " << i << ", " << k << " steps";
        ASSERT_TRUE(std::isfinite(f.deviation) && f.deviation >= 0) << "report " << i << ", " << k << " steps";
      }
    }
  }
}

TEST_P(PredictorContract, ItIsReadyFromTheSecondReportAndRefitsOnlyWhenThereIsNews) {
  auto predictor = predictor_named(GetParam());
  EXPECT_FALSE(predictor->ready());
  EXPECT_EQ(predictor->refit(), 0);
  predictor->observe(point(10, 2.0));
  (void)predictor->refit();
  EXPECT_FALSE(predictor->ready());
  predictor->observe(point(20, 1.0));
  EXPECT_GT(predictor->refit(), 0);
  ASSERT_TRUE(predictor->ready());
  EXPECT_EQ(predictor->refit(), 0);
  EXPECT_NEAR(predictor->after(0).mean, 1.0, 0.25);
}

TEST_P(PredictorContract, TheWorkOfARefitIsBounded) {
  SeededRng rng(9);
  auto predictor = predictor_named(GetParam());
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    predictor->observe(point(i * 3, 1 + rng.uniform()));
    ASSERT_LE(predictor->refit(), 200);
  }
}

TEST_P(PredictorContract, TheSameReportsGiveTheSameForecast) {
  const Curve curve = sampled([](double x) { return 2 / (0.1 * x + 1) + 0.3; }, 120, 0.02, 3);
  auto one = predictor_named(GetParam()), other = predictor_named(GetParam());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    for (auto* p : {one.get(), other.get()}) p->observe(point(i + 1, curve[i])), (void)p->refit();
    if (one->ready()) { ASSERT_EQ(one->after(20).mean, other->after(20).mean); }
  }
}

TEST_P(PredictorContract, WhatComesTwiceLateOrIsNotFiniteChangesNothing) {
  auto plain = predictor_named(GetParam()), pestered = predictor_named(GetParam());
  for (std::uint64_t i = 1; i <= 60; ++i) {
    const LossPoint p = point(10 * i, 3.0 / static_cast<double>(i) + 0.2);
    plain->observe(p), pestered->observe(p);
    pestered->observe(p);
    pestered->observe(point(10 * i, 7));
    pestered->observe(point(10 * i - 5, 9));
    for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()})
      pestered->observe(point(10 * i + 5, bad));
    (void)plain->refit(), (void)pestered->refit();
    if (!plain->ready()) continue;
    ASSERT_EQ(plain->after(50).mean, pestered->after(50).mean) << i;
    ASSERT_EQ(plain->after(50).deviation, pestered->after(50).deviation) << i;
  }
}

TEST_P(PredictorContract, DeclaredStepsThatAreWrongOrChangeDoNoHarm) {
  const Curve curve = sampled([](double x) { return 2 / (0.1 * x + 1) + 0.3; }, 120, 0.01, 3);
  const double wrong[] = {0, 1, 12, 1200, 1e300, -5, std::nan(""), std::numeric_limits<double>::infinity()};
  auto predictor = predictor_named(GetParam());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    predictor->declare(wrong[i % std::size(wrong)]);
    predictor->observe(point(i + 1, curve[i]));
    (void)predictor->refit();
    if (!predictor->ready()) continue;
    ASSERT_TRUE(std::isfinite(predictor->floor()));
    for (const double k : {0.0, 10.0, 1e6}) ASSERT_TRUE(std::isfinite(predictor->after(k).mean)) << i;
  }
}

/// To the last bit, whatever is kept from the report on; what is declared may change between two reports.
TEST_P(PredictorContract, SeveralForecastsAtOnceAreThatOfEach) {
  const Curve curve = sampled([](double x) { return 2 / (0.1 * x + 1) + 0.3; }, 60, 0.02, 5);
  auto predictor = predictor_named(GetParam());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    const double step = 10.0 * static_cast<double>(i + 1);
    predictor->observe(point(10 * (i + 1), curve[i]));
    (void)predictor->refit();
    if (!predictor->ready()) continue;
    for (const double total : {0.0, 500.0, 900.0}) {
      predictor->declare(total);
      const std::array<double, 5> steps = {0, std::max(0.0, total - step), 8 * step, 7, 3000};
      std::array<Forecast, 5> said;
      predictor->after_all(steps, said);
      for (std::size_t s = 0; s < steps.size(); ++s) {
        const Forecast one = predictor->after(steps[s]);
        ASSERT_EQ(one.mean, said[s].mean) << step << " " << total << " " << steps[s];
        ASSERT_EQ(one.deviation, said[s].deviation) << step << " " << total << " " << steps[s];
      }
      if (GetParam() == "ensemble") { ASSERT_EQ(predictor->floor(), std::min(said[0].mean, said[total > step ? 1 : 2].mean)) << step << " " << total; }
    }
  }
}

TEST_P(PredictorContract, ALossThatJumpsByAMillionIsForgottenWithinEightyReports) {
  auto predictor = predictor_named(GetParam());
  for (std::uint64_t i = 1; i <= 240; ++i) {
    predictor->observe(point(i, i == 100 ? 1e6 : 1 + 1 / static_cast<double>(i)));
    (void)predictor->refit();
    if (i >= 180) { ASSERT_NEAR(predictor->after(5).mean, 1, 0.2) << i; }
  }
}

TEST_P(PredictorContract, AJobsMemoryIsBounded) {
  SeededRng rng(9);
  auto predictor = predictor_named(GetParam());
  predictor->declare(6000);
  for (std::uint64_t i = 1; i <= 2000; ++i) predictor->observe(point(i * 3, 1 + rng.uniform())), (void)predictor->refit();
  EXPECT_LE(predictor->bytes(), 12U * 1024);
}

INSTANTIATE_TEST_SUITE_P(AllPredictors, PredictorContract, testing::ValuesIn(builtin_predictors().names()), [](const auto& p) { return p.param; });

struct Shape {
  std::string name;
  std::function<double(double)> loss;
};
const Shape kShapes[] = {{"sublinear", [](double x) { return 1 / (0.0008 * x * x + 0.05 * x + 0.45) + 0.15; }},
                         {"inverse", [](double x) { return 1 / (0.08 * x + 0.4) + 0.3; }},
                         {"linear", [](double x) { return 2.2 * std::exp(-0.03 * x) + 0.1; }},
                         {"fast", [](double x) { return 1.5 * std::exp(-0.09 * x) + 0.4; }}};

TEST(SlaqPredictor, BeatsTheLastDeltaOnItsTwoFamiliesWithNoise) {
  for (const Shape& shape : kShapes)
    for (const double noise : {0.0, 0.003, 0.01, 0.03})
      for (const std::size_t ahead : {5U, 10U, 20U}) {
        double slaq = 0, last = 0;
        for (std::uint64_t seed = 1; seed <= 2; ++seed) {
          const Curve truth = sampled(shape.loss, 150, 0, seed), seen = sampled(shape.loss, 150, noise, seed);
          slaq += error_of("slaq", seen, truth, ahead);
          last += error_of("last", seen, truth, ahead);
        }
        EXPECT_LT(slaq, last) << shape.name << ", noise " << noise << ", " << ahead << " reports ahead";
      }
}

TEST(SlaqPredictor, FindsTheFloorOfACleanCurve) {
  for (const Shape& shape : kShapes) {
    auto predictor = predictor_named("slaq");
    const Curve curve = sampled(shape.loss, 100, 0, 1);
    for (std::size_t i = 0; i < curve.size(); ++i) predictor->observe(point(i + 1, curve[i])), (void)predictor->refit();
    EXPECT_NEAR(predictor->floor(), shape.loss(1e9), 0.1 * (shape.loss(0) - shape.loss(1e9))) << shape.name;
  }
}

TEST(ForecastTest, QuantilesAndProbabilitiesAreStudentsTOfFourDegrees) {
  const Forecast f{2, 0.5};
  EXPECT_NEAR(f.quantile(0.5), 2, 1e-12);
  EXPECT_NEAR(f.quantile(0.9), 2 + 0.5 * 1.533206, 1e-5);
  EXPECT_NEAR(f.quantile(0.025), 2 - 0.5 * 2.776445, 1e-5);
  for (const double share : {0.001, 0.05, 0.25, 0.5, 0.75, 0.999}) EXPECT_NEAR(f.probability_below(f.quantile(share)), share, 1e-9);
  const Forecast bent = Forecast::of(2, {std::log(0.1), std::log(0.7), std::log(0.8)});
  EXPECT_NEAR(bent.quantile(0.75), 2.1, 1e-5);
  EXPECT_NEAR(bent.quantile(0.1), 2 - 0.7, 1e-5);
  EXPECT_NEAR(bent.quantile(0.95), 2.8, 1e-5);
  for (const double share : {0.001, 0.05, 0.25, 0.5, 0.75, 0.999}) EXPECT_NEAR(bent.probability_below(bent.quantile(share)), share, 1e-6);
  EXPECT_EQ((Forecast{2, 0}).probability_below(1.99), 0);
  EXPECT_EQ((Forecast{2, 0}).probability_below(2), 1);
}

TEST(EnsemblePredictor, IsBetterThanBothOthersWhereThereIsNoise) {
  for (const double noise : {0.01, 0.03})
    for (const std::size_t ahead : {5U, 10U, 20U}) {
      double ensemble = 0, slaq = 0, last = 0;
      for (const Shape& shape : kShapes)
        for (std::uint64_t seed = 1; seed <= 2; ++seed) {
          const Curve truth = sampled(shape.loss, 150, 0, seed), seen = sampled(shape.loss, 150, noise, seed);
          ensemble += error_of("ensemble", seen, truth, ahead);
          slaq += error_of("slaq", seen, truth, ahead);
          last += error_of("last", seen, truth, ahead);
        }
      EXPECT_LT(ensemble, slaq) << "noise " << noise << ", " << ahead << " reports ahead";
      EXPECT_LT(ensemble, last) << "noise " << noise << ", " << ahead << " reports ahead";
    }
}

TEST(EnsemblePredictor, ForgetsALossThatJumpsByAMillionWithinTwentyReports) {
  auto predictor = predictor_named("ensemble");
  for (std::uint64_t i = 1; i <= 160; ++i) {
    predictor->observe(point(i, i == 100 ? 1e6 : 1 + 1 / static_cast<double>(i)));
    if (i >= 120) { ASSERT_NEAR(predictor->after(5).mean, 1, 0.2) << i; }
  }
}

/// Without noise too: no worse than a tenth above the better of the two, all shapes together.
TEST(EnsemblePredictor, IsAsGoodAsTheBestWithoutNoise) {
  for (const std::size_t ahead : {1U, 5U, 10U, 20U}) {
    double ensemble = 0, slaq = 0, last = 0;
    for (const Shape& shape : kShapes) {
      const Curve truth = sampled(shape.loss, 150, 0, 1);
      ensemble += error_of("ensemble", truth, truth, ahead);
      slaq += error_of("slaq", truth, truth, ahead);
      last += error_of("last", truth, truth, ahead);
    }
    EXPECT_LT(ensemble, 1.1 * std::min(slaq, last)) << ahead << " reports ahead";
  }
}

/// Against reports, which are noisy, at each distance by itself. Where there is no noise bands are too wide at first: errors fall faster than is learnt.
TEST(EnsemblePredictor, ItsBandsHoldWhatTheySay) {
  for (const double noise : {0.003, 0.01, 0.03})
    for (const std::size_t ahead : {1U, 5U, 10U}) {
      double inside[3] = {}, count = 0;
      for (const Shape& shape : kShapes)
        for (std::uint64_t seed = 1; seed <= 8; ++seed) {
          const Curve seen = sampled(shape.loss, 150, noise, seed);
          auto predictor = predictor_named("ensemble");
          for (std::size_t i = 0; i + ahead < seen.size(); ++i) {
            predictor->observe(point(5 * (i + 1), seen[i]));
            if (i < 10) continue;
            const double p = predictor->after(5.0 * static_cast<double>(ahead)).probability_below(seen[i + ahead]);
            for (const int band : {0, 1, 2}) inside[band] += std::abs(p - 0.5) <= (band == 0 ? 0.25 : band == 1 ? 0.4 : 0.45) ? 1 : 0;
            ++count;
          }
        }
      const auto where = fmt::format("noise {}, {} ahead", noise, ahead);
      EXPECT_NEAR(inside[0] / count, 0.5, 0.07) << where;
      EXPECT_NEAR(inside[1] / count, 0.8, 0.07) << where;
      EXPECT_NEAR(inside[2] / count, 0.9, 0.07) << where;
    }
}

/// Recorded curves, one loss a line, in files *.txt of the folder that SLUICE_CURVES names.
TEST(SlaqPredictor, BeatsTheLastDeltaOnRecordedCurves) {
  const char* folder = std::getenv("SLUICE_CURVES");
  if (folder == nullptr) GTEST_SKIP() << "SLUICE_CURVES names no folder of recorded curves";
  double slaq = 0, last = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() != ".txt") continue;
    Curve curve;
    std::ifstream in(file.path());
    for (double loss = 0; in >> loss;) curve.push_back(loss);
    const double a = error_of("slaq", curve, curve, 10), b = error_of("last", curve, curve, 10);
    std::printf("%-24s slaq %.4f  last %.4f of the range, 10 reports ahead\n", file.path().filename().c_str(), a, b);
    slaq += a, last += b;
  }
  EXPECT_LT(slaq, last);
}

}  // namespace
}  // namespace sluice::manager
