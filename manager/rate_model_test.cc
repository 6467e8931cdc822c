/// RateModel against planted truths.
#include "manager/rate_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/rng.h"

namespace sluice::manager {
namespace {

double rate_noise(Rng& rng) { return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform()); }

struct Truth {
  double alone = 40, kappa = 0.05, penalty = 0, staleness = 1;
  [[nodiscard]] double rate(double n) const { return alone * n / (1 + kappa * (n - 1)); }
};

/// Half-second reports at `slots`, with a relative noise.
void report(RateModel& model, const Truth& truth, double slots, int reports, double noise, Rng& rng) {
  for (int i = 0; i < reports; ++i) {
    const double steps = truth.rate(slots) * 0.5 * std::exp(noise * rate_noise(rng));
    model.observe(steps, slots * 0.5, 0.5, truth.staleness * (slots - 1));
  }
}

TEST(RateModelTest, FindsContentionFromReportsAtDifferentSlots) {
  for (const double kappa : {0.0, 0.005, 0.02, 0.1, 0.5, 1.0}) {
    SeededRng rng(3);
    const Truth truth{.kappa = kappa};
    RateModel model;
    for (const double slots : {1.0, 4.0, 2.0, 8.0, 3.0}) report(model, truth, slots, 8, 0.03, rng);
    EXPECT_TRUE(model.kappa_measured());
    for (const double slots : {1.0, 2.0, 6.0, 16.0})
      EXPECT_NEAR(model.speed_up().rate(slots) / truth.rate(slots), 1, 0.08) << "kappa " << kappa << ", " << slots << " slots";
  }
}

TEST(RateModelTest, WithOneCountOfSlotsTheRateThereIsKnownAndTheSlopeIsThePriors) {
  SeededRng rng(4);
  const Truth truth{.kappa = 0.02};
  RateModel model(0.1);
  report(model, truth, 4, 10, 0, rng);
  EXPECT_FALSE(model.kappa_measured());
  EXPECT_NEAR(model.speed_up().rate(4), truth.rate(4), 0.01 * truth.rate(4));
  EXPECT_NEAR(model.speed_up().kappa, 0.1, 0.01);
}

/// With hundreds of slots a report of seconds is thousands of slot-seconds: what was seen with fewer slots must outlive it.
TEST(RateModelTest, SlopesAreRememberedOverReportsWithManySlots) {
  SeededRng rng(6);
  for (const double kappa : {0.0, 0.005}) {
    const Truth truth{.kappa = kappa};
    RateModel model(0.02);
    for (const double slots : {200.0, 640.0}) report(model, truth, slots, 6, 0, rng);
    EXPECT_NEAR(model.evidence().kappa, kappa, 1e-5);
    EXPECT_NEAR(model.speed_up().kappa, kappa, 1e-4);
  }
}

TEST(KappaPoolTest, JobsWithMoreToSayCountMoreAndWhatIsNotKnownIsSaid) {
  SeededRng rng(7);
  KappaPool pool;
  EXPECT_LT(pool.kappa(640), 0);
  RateModel one, many;
  report(one, {.kappa = 0.02}, 1, 20, 0.05, rng);
  pool.add(one.evidence());
  EXPECT_LT(pool.kappa(640), 0) << "one count of slots says nothing";
  for (const double slots : {100.0, 500.0}) report(many, {.kappa = 1e-3}, slots, 20, 0.01, rng);
  pool.keep(many.evidence());
  RateModel few;
  for (const double slots : {1.0, 2.0}) report(few, {.kappa = 0.2}, slots, 20, 0.05, rng);
  pool.add(few.evidence());
  EXPECT_NEAR(pool.kappa(640), 1e-3, 2e-4) << "that ended, but saw more";
  pool.begin();
  EXPECT_NEAR(pool.kappa(640), 1e-3, 2e-4);
}

/// Jobs that were seen at `few` and at `many` slots, each on a machine that had become a little faster or slower between the two.
KappaPool pool_of(int jobs, double kappa, double few, double many, Rng& rng) {
  KappaPool pool;
  for (int i = 0; i < jobs; ++i) {
    RateModel model;
    for (const double slots : {few, many}) report(model, {.alone = 40 * std::exp(0.07 * rate_noise(rng)), .kappa = kappa}, slots, 12, 0.03, rng);
    pool.keep(model.evidence());
  }
  return pool;
}

TEST(KappaPoolTest, CountsThatHardlyDifferTellNothingHoweverManyJobsSawThem) {
  constexpr double kSlots = 640;
  SeededRng rng(11);
  int known = 0;
  for (const double kappa : {0.0, 0.005, 0.1})
    for (int run = 0; run < 20; ++run) known += pool_of(40, kappa, 600, 640, rng).kappa(kSlots) >= 0 ? 1 : 0;
  EXPECT_EQ(known, 0) << "of 60 runs of forty jobs";
}

/// Noise that goes up and noise that goes down weigh the same: else a thousand jobs that had about all slots all of the time would say that there is none.
TEST(KappaPoolTest, ManyJobsThatKnowNothingDoNotPullWhatFewKnow) {
  constexpr double kSlots = 16, kKappa = 0.01;
  SeededRng rng(13);
  KappaPool alone, both;
  for (int i = 0; i < 8; ++i) {
    RateModel model;
    for (const double slots : {1.0, kSlots}) report(model, {.kappa = kKappa}, slots, 30, 0.1, rng);
    alone.add(model.evidence()), both.add(model.evidence());
  }
  KappaPool nothing;
  for (int i = 0; i < 1000; ++i) {
    RateModel model;
    for (int k = 0; k < 60; ++k) report(model, {.kappa = kKappa}, kSlots - 2 * rng.uniform(), 1, 0.1, rng);
    both.add(model.evidence()), nothing.add(model.evidence());
  }
  EXPECT_NEAR(alone.kappa(kSlots), kKappa, 0.002);
  EXPECT_NEAR(both.kappa(kSlots), kKappa, 0.002) << alone.kappa(kSlots);
  EXPECT_TRUE(nothing.kappa(kSlots) < 0 || nothing.kappa(kSlots) > kKappa / 3) << nothing.kappa(kSlots);
}

TEST(RateModelTest, AWindowInWhichTheCountChangedTellsTheLevelAndNothingElse) {
  SeededRng rng(14);
  RateModel model;
  report(model, {.alone = 10, .kappa = 0}, 1, 20, 0, rng);
  const double before = model.speed_up().alone;
  const auto evidence = model.evidence();
  for (int i = 0; i < 20; ++i) model.follow(5, 1, 1);  // half as fast
  EXPECT_LT(model.speed_up().alone, 0.75 * before);
  EXPECT_EQ(model.evidence().weight, evidence.weight);
  EXPECT_EQ(model.evidence().kappa, evidence.kappa);
  const auto left_out = model.left_out();
  model.follow(0, 1, 1), model.follow(1, -1, 1), model.follow(1, 1, std::nan(""));
  EXPECT_EQ(model.left_out(), left_out + 3);
}

TEST(KappaPoolTest, WhatIsSaidToBeKnownIsTrue) {
  constexpr double kSlots = 640;
  SeededRng rng(12);
  for (const double kappa : {0.0, 1e-4, 5e-4, 0.005, 0.1}) {
    for (const double few : {1.0, 40.0, 160.0, 320.0, 500.0, 630.0}) {
      int wrong = 0, known = 0;
      for (int run = 0; run < 50; ++run) {
        const double said = pool_of(5, kappa, few, kSlots, rng).kappa(kSlots);
        if (said < 0) continue;
        ++known;
        wrong += std::abs(1 / (1 + said * kSlots) - 1 / (1 + kappa * kSlots)) > 0.25 ? 1 : 0;
      }
      EXPECT_LE(wrong, 5) << "kappa " << kappa << ", " << few << " slots and all: of what is left of a slot two deviations are a quarter";
      EXPECT_TRUE(few > 100 || known >= 45) << "kappa " << kappa << ", " << few << " slots: known in " << known;
    }
  }
}

TEST(RateModelTest, FollowsAMachineThatBecomesSlowerWithinTwoSecondsOfSlotTime) {
  SeededRng rng(5);
  Truth truth{.kappa = 0.05};
  RateModel model;
  for (const double slots : {1.0, 2.0, 4.0}) report(model, truth, slots, 20, 0.02, rng);
  truth.alone /= 3;
  report(model, truth, 2, 6, 0.02, rng);
  EXPECT_NEAR(model.speed_up().rate(2) / truth.rate(2), 1, 0.25);
  EXPECT_NEAR(model.speed_up().kappa, 0.05, 0.05) << "the slope is older than the load";
}

TEST(RateModelTest, AStrayReportChangesLittle) {
  SeededRng rng(6);
  const Truth truth{.kappa = 0.05};
  RateModel model;
  for (const double slots : {1.0, 2.0, 4.0}) report(model, truth, slots, 20, 0.02, rng);
  model.observe(truth.rate(2) * 0.5 / 1000, 1, 0.5, 1);  // a thousand times slower
  EXPECT_NEAR(model.speed_up().rate(2) / truth.rate(2), 1, 0.25);
}

TEST(RateModelTest, FindsWhatStalenessCostsFromForecastsThatCameTrueLess) {
  for (const double penalty : {0.0, 0.02, 0.1}) {
    SeededRng rng(7);
    const Truth truth{.penalty = penalty};
    RateModel model;
    for (const double slots : {1.0, 4.0, 8.0}) report(model, truth, slots, 8, 0.02, rng);
    for (int i = 0; i < 200; ++i) {
      const double before = i % 2 == 0 ? 0 : 7, now = 7 - before, predicted = 0.1;
      const double actual = predicted * (1 + penalty * before) / (1 + penalty * now) + 0.01 * rate_noise(rng);
      model.progressed(predicted, 0.01, actual, before, now);
    }
    const double wanted = 1 / (1 + penalty * 7);
    EXPECT_NEAR(model.speed_up().efficiency(8), wanted, 0.05) << penalty;
    EXPECT_EQ(model.speed_up().efficiency(1), 1);
  }
}

TEST(RateModelTest, NoChangeOfStalenessTeachesNothing) {
  RateModel model;
  const double before = model.speed_up().penalty;
  for (int i = 0; i < 100; ++i) model.progressed(1, 0.01, 0.1, 3, 3);
  EXPECT_EQ(model.speed_up().penalty, before);
}

TEST(RateModelTest, SaysHowStaleSlotsMakeEachOtherOnceItHasSeenSeveral) {
  SeededRng rng(5);
  const Truth truth{.staleness = 4.4};
  RateModel model;
  report(model, truth, 1, 20, 0.03, rng);
  EXPECT_FALSE(model.staleness_measured());
  report(model, truth, 3, 2, 0.03, rng);
  ASSERT_TRUE(model.staleness_measured());
  EXPECT_NEAR(*model.staleness_measured(), 4.4, 1e-9);
}

TEST(RateModelTest, NonsenseIsLeftOutAndCounted) {
  RateModel model;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInf = std::numeric_limits<double>::infinity();
  for (const double bad : {kNan, kInf, -1.0, 0.0}) {
    model.observe(bad, 1, 1, 0);
    model.observe(1, bad, 1, 0);
    model.observe(1, 1, bad, 0);
  }
  model.observe(1, 1, 1, -1);
  model.progressed(kNan, 1, 1, 0, 0);
  for (const double staleness : {1e300, 1e-320, 1e299}) model.progressed(1, 1e-6, 0.5, staleness, 1), model.progressed(1, 1e-6, 0.5, 1, staleness);
  EXPECT_TRUE(std::isfinite(model.speed_up().penalty));
  EXPECT_EQ(model.left_out(), 18U);
  EXPECT_FALSE(model.ready());
  EXPECT_EQ(model.speed_up().rate(3), 0);
}

TEST(RateModelTest, RatesAreConcaveAndNeverFallWhateverIsReported) {
  SeededRng rng(8);
  RateModel model;
  for (int i = 0; i < 500; ++i) {
    model.observe(std::exp(20 * rng.uniform() - 10), std::exp(8 * rng.uniform() - 4), std::exp(8 * rng.uniform() - 4), 100 * rng.uniform());
    model.progressed(rng.uniform(), rng.uniform(), 2 * rng.uniform() - 1, 10 * rng.uniform(), 10 * rng.uniform());
    const SpeedUp s = model.speed_up();
    double before = 0, gain_before = std::numeric_limits<double>::infinity();
    for (double n = 1; n < 100; ++n) {
      ASSERT_TRUE(std::isfinite(s.rate(n)) && s.rate(n) >= before * (1 - 1e-12));
      ASSERT_LE(s.rate(n) - before, gain_before + 1e-9 * s.rate(n));
      ASSERT_TRUE(s.efficiency(n) > 0 && s.efficiency(n) <= 1);
      gain_before = s.rate(n) - before, before = s.rate(n);
    }
  }
}

}  // namespace
}  // namespace sluice::manager
