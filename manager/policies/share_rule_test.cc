/// The √ rule against a numerically solved optimum; the regimes, groups, and policies that serve in order.
#include "manager/policies/share_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "manager/policies/group_rule.h"

namespace sluice::manager {
namespace {

constexpr std::uint32_t kSlots = 32;

JobView training(std::uint64_t id) {
  JobView j;
  j.id = JobId{id};
  j.submitted = j.waits_since = Instant{100'000'000'000};
  j.slots_max = 1000;
  j.phase = JobPhase::kTraining;
  j.reports = 100;
  j.first_loss = 1, j.loss = j.level = 0.5;
  j.total_steps = 1000, j.step = 500, j.declared = true;
  j.prior_remaining = 0.5;
  j.speed_up.alone = 1, j.steps_per_slot_second = 1;
  return j;
}

ClusterView of_slots(std::uint32_t slots, double kappa) {
  ClusterView view;
  view.now = Instant{100'000'000'000};
  view.elapsed = from_ms(500);
  view.hosts.push_back({.id = WorkerId{1}, .name = "w", .slots = slots, .capacity = {}, .owner = {}});
  view.usual_kappa = kappa;
  view.fairness.ageing = 0;
  return view;
}

Decision decided_by(const std::string& policy, const ClusterView& view) {
  Memo memo;
  static const PolicyRegistry registry = builtin_policies();
  return (**registry.find(policy))()->decide(view, memo);
}

/// Two jobs of `kPoints` steps with remaining losses q and r share 32 slots, s(a) = a / (1 + .05 (a − 1)). Backwards over the steps done, with `choose` the
/// slots of the first: V(i, j) = (q_i + r_j + s(a) V(i+1, j) + s(32 − a) V(i, j+1)) / (s(a) + s(32 − a)), a Markov chain that goes along the jobs' mean path.
constexpr int kPoints = 40;
struct TwoJobs {
  std::vector<double> q, r;
  static double speed(double a) { return a / (1 + 0.05 * std::max(0.0, a - 1)); }
  [[nodiscard]] double loss_seconds(const std::function<double(double, double, const std::function<double(double)>&)>& choose) const {
    std::vector<std::vector<double>> v(kPoints + 1, std::vector<double>(kPoints + 1, 0));
    for (int i = kPoints; i >= 0; --i)
      for (int j = kPoints; j >= 0; --j) {
        const auto [x, y] = std::pair(static_cast<std::size_t>(i), static_cast<std::size_t>(j));
        if (i == kPoints && j == kPoints) continue;
        if (i == kPoints) {
          v[x][y] = r[y] / speed(kSlots) + v[x][y + 1];
        } else if (j == kPoints) {
          v[x][y] = q[x] / speed(kSlots) + v[x + 1][y];
        } else {
          v[x][y] = choose(q[x], r[y], [&, x = x, y = y](double a) {
            const double one = speed(a), other = speed(kSlots - a);
            return (q[x] + r[y] + one * v[x + 1][y] + other * v[x][y + 1]) / (one + other);
          });
        }
      }
    return v[0][0];
  }
};

TEST(ShareRule, TwoJobsComeWithinAFewPercentOfTheNumericallySolvedOptimum) {
  TwoJobs jobs;
  for (int k = 0; k <= kPoints; ++k) jobs.q.push_back(std::pow(1 + k / 2.0, -1.5)), jobs.r.push_back(1 - static_cast<double>(k) / kPoints);
  const double best = jobs.loss_seconds([](double, double, const auto& value) {
    double least = value(0.1);
    for (double a = 0.2; a < kSlots; a += 0.1) least = std::min(least, value(a));
    return least;
  });
  const double fair = jobs.loss_seconds([](double, double, const auto& value) { return value(kSlots / 2.0); });
  const double rule = jobs.loss_seconds([](double q, double r, const auto& value) {
    ClusterView view = of_slots(kSlots, 0.05);
    view.jobs = {training(1), training(2)};
    view.jobs[0].prior_remaining = q, view.jobs[1].prior_remaining = r;
    return value(std::clamp(decided_by("progress", view).jobs[0].share, 1e-6, kSlots - 1e-6));
  });
  EXPECT_GE(rule, best * (1 - 1e-9));
  EXPECT_LE(rule, 1.03 * best);
  EXPECT_GE(fair, 1.08 * rule);
}

TEST(ShareRule, PastJobsAndReportsWeighByHowSureTheyAre) {
  JobView job = training(1);  // by its reports .2 of its loss is left, by past jobs .6
  job.reports = 1000;
  job.loss = job.level = 0.2, job.end_loss = 0, job.prior_remaining = 0.6;
  const auto q = [&](double between_jobs, double of_the_end) {
    job.prior_deviation = between_jobs, job.end_deviation = of_the_end;
    return remaining_loss(job, Hearing::kLoss, 0);
  };
  EXPECT_NEAR(q(0.3, 0.02), 0.2, 0.01) << "past jobs differ much, its end is foretold well";
  EXPECT_NEAR(q(0.02, 1), 0.6, 0.01) << "past jobs were all alike, nobody knows where it ends";
  EXPECT_TRUE(q(0.1, 0.2) > 0.25 && q(0.1, 0.2) < 0.55);
  job.reports = 6;
  EXPECT_NEAR(std::sqrt(q(0.3, 0.02)), (std::sqrt(0.2) + std::sqrt(0.6)) / 2, 1e-6) << "so sure after six reports: nobody can be";
  job.reports = 1000;
  job.declared = false, job.end_deviation = 0, job.floor = 0;
  job.forecast = {{10, 0.1, 0.02}};
  job.prior_deviation = 0.3;
  EXPECT_NEAR(remaining_loss(job, Hearing::kLoss, 0), 0.2, 0.01) << "without a declared length the furthest forecast tells";
  job.forecast.clear();
  job.reports = 100;
  EXPECT_TRUE(remaining_loss(job, Hearing::kLoss, 0) > 0.2 && remaining_loss(job, Hearing::kLoss, 0) < 0.6) << "else the number of reports";
}

TEST(ShareRule, TheRegimeHasHysteresisAndIsCarriedInTheView) {
  ClusterView view = of_slots(kSlots, 0.0);
  view.jobs = {training(1), training(2)};
  view.usual_kappa = 0.0040;  // .89 of each slot is left at 32
  EXPECT_FALSE(decided_by("sluice", view).by_index);
  view.by_index = true;
  EXPECT_TRUE(decided_by("sluice", view).by_index);
  view.usual_kappa = 0.0060;  // .84
  EXPECT_FALSE(decided_by("sluice", view).by_index);
  view.usual_kappa = -1;
  EXPECT_TRUE(decided_by("sluice", view).by_index) << "nothing is known: as before";
  view.jobs[0].move_cost = view.jobs[1].move_cost = view.round;
  EXPECT_FALSE(decided_by("sluice", view).by_index) << "the index moves too much for this";
}

TEST(ShareRule, ASecondSlotWhoseGradientsAreStaleCountsLessThanAnothersFirst) {
  ClusterView view = of_slots(2, 0.0);
  view.jobs = {training(1), training(2)};
  view.jobs[1].step = 600;  // a little less is left of it: it comes first
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 2U) << "two slots do twice as much as one";
  for (JobView& job : view.jobs) job.speed_up.penalty = 0.15, job.speed_up.staleness_per_slot = 4.4;  // two do 1.2 times as much
  EXPECT_EQ(decided_by("sluice", view).jobs[0].slots, 1U);
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 1U);
  view.jobs[1].weight = 10;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 2U) << "even its second slot is worth more";
  view.jobs[1].step = 901;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 1U) << "what it ends with would be of stale gradients";
}

TEST(ShareRule, ByTheIndexANewcomerDoesNotWaitForAnothersQuantumIfItIsWorthTwiceAsMuch) {
  ClusterView view = of_slots(kSlots, 0.0);
  view.jobs = {training(1), training(2)};
  view.jobs[0].slots = kSlots;
  view.jobs[0].quantum_since = Instant{view.now.ns - 1'000'000};
  view.jobs[0].forecast = {{100, 0.01, 0}};
  view.jobs[1].forecast = {{100, 0.3, 0}};
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots);
  view.jobs[1].forecast = {{100, 0.15, 0}};
  EXPECT_EQ(decided_by("sluice", view).jobs[0].slots, kSlots) << "worth more, but not twice as much";
  view.jobs[0].quantum_since = Instant{1};
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots) << "the quantum is over";
}

TEST(ShareRule, ByTheIndexANewcomerHasAllOfItsLossBeforeItUntilItIsHeard) {
  ClusterView view = of_slots(kSlots, 0.0);
  view.usual_attained = 100;
  view.jobs = {training(1), training(2)};
  view.jobs[0].slots = kSlots, view.jobs[0].quantum_since = Instant{1};
  view.jobs[0].speed_up.alone = view.jobs[0].steps_per_slot_second = 0.1;
  JobView& fresh = view.jobs[1];
  fresh.reports = 0, fresh.step = 0, fresh.loss = fresh.level = fresh.first_loss = 0, fresh.speed_up = {}, fresh.steps_per_slot_second = 0;
  fresh.phase = JobPhase::kWarmingUp, fresh.prior_remaining = 1, fresh.total_steps = 0;
  view.jobs[0].forecast = {{100, 0.05, 0}};
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots) << "1 / 100 slot-seconds, and the other's .0001";
  EXPECT_EQ(decided_by("progress", view).jobs[1].slots, kSlots);
  view.jobs[0].forecast = {{1, 0.2, 0}};
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots / 2) << "its fair share, whatever others are worth";
  view.jobs[0].forecast = {{100, 0.05, 0}};
  view.usual_kappa = -1, view.by_index = true;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots / 2) << "nobody knows what many slots are worth, and nobody would learn it";
  view.usual_kappa = 0;
  fresh.id = JobId{4};
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots / 2) << "every fourth tells what half of the slots are worth";
  fresh.id = JobId{2};
  fresh.deficit_ns = -60 * quantum_of(view, fresh).ns;
  EXPECT_LE(decided_by("sluice", view).jobs[1].slots, kSlots / 2) << "in vain for eight quanta";
}

TEST(ShareRule, WhatIsLeftIsToldFromTheFittedLevelThatSmoothedReportsAreBehind) {
  JobView job = training(1);
  job.reports = 1000;
  job.loss = 0.6, job.level = 0.1, job.end_loss = 0, job.end_deviation = 1e-3;
  job.prior_deviation = 1;
  EXPECT_NEAR(remaining_loss(job, Hearing::kLoss, 0), 0.1, 0.01);
}

TEST(ShareRule, AgeBringsTheLastJobsForward) {
  ClusterView view = of_slots(kSlots, 0.05);
  view.fairness.ageing = 0.01;
  view.usual_stay = from_ms(10'000);
  view.jobs = {training(1), training(2)};
  view.jobs[0].loss = view.jobs[0].level = 0.01, view.jobs[0].prior_remaining = 0.01;
  const double young = decided_by("sluice", view).jobs[0].share;
  view.jobs[0].submitted = Instant{view.now.ns - from_ms(40'000).ns};
  EXPECT_GT(decided_by("sluice", view).jobs[0].share, 2 * young);
}

/// Three members of which only the best counts: the second is predicted to end lowest; the third might, and the first will not.
ClusterView sweep(double kappa) {
  ClusterView view = of_slots(kSlots, kappa);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    JobView& j = view.jobs.emplace_back(training(id));
    j.group = "sweep", j.best = true, j.group_best = 0.4;
    j.end_deviation = 1e-3;
  }
  view.jobs[0].end_loss = 0.35, view.jobs[1].end_loss = 0.2, view.jobs[2].end_loss = 0.21;
  view.jobs[2].end_deviation = 0.05;
  return view;
}

TEST(ShareRule, UnderStrictFairnessWhoIsLateByMoreOfItsAgeHasMore) {
  ClusterView view = of_slots(kSlots, 0.1);
  view.fairness.strict = true;
  view.usual_stay = from_seconds(100);
  for (std::uint64_t id : {1, 2, 3}) view.jobs.push_back(training(id));
  for (JobView& job : view.jobs) job.waits_since = job.submitted = Instant{view.now.ns - from_ms(40'000).ns};
  view.jobs[0].behind = from_seconds(-20);  // ahead
  view.jobs[1].behind = from_seconds(10);
  view.jobs[2].behind = from_seconds(10), view.jobs[2].submitted = Instant{view.now.ns - from_ms(400'000).ns};
  const double q = decided_by("sluice", view).jobs[0].index;
  EXPECT_NEAR(decided_by("sluice", view).jobs[1].index, q + 4 * 0.25, 1e-9) << "10 s late at 40 s of age";
  EXPECT_NEAR(decided_by("sluice", view).jobs[2].index, q + 4 * 0.025, 1e-9) << "10 s are little for one that is ten times as old";
}

TEST(ShareRule, OfAGroupTheLeaderIsServedAndLosersHaveNothing) {
  ClusterView view = sweep(0.0);
  Decision decision = decided_by("sluice", view);
  EXPECT_EQ(decision.jobs[1].slots, kSlots);
  EXPECT_EQ(decision.jobs[0].slots, 0U);
  view.jobs[1].end_loss = 0.36;  // it stalls: the third is predicted to end lower now
  decision = decided_by("sluice", view);
  EXPECT_EQ(decision.jobs[2].slots, kSlots);
  for (JobView& j : view.jobs) j.best = false;
  EXPECT_EQ(decided_by("fair", view), decided_by("fair", sweep(0.0))) << "under fair the objective means nothing";
}

TEST(ShareRule, WhereSpeedUpIsConcaveMembersShareByWhatTheirEndsMayBeWorth) {
  const Decision decision = decided_by("sluice", sweep(0.05));
  EXPECT_GT(decision.jobs[1].share, decision.jobs[2].share);
  EXPECT_GT(decision.jobs[2].share, 10 * decision.jobs[0].share);
}

std::vector<GroupPlace> places_of(const ClusterView& view) { return places_in_groups(view, claims_of(view)); }

TEST(GroupRule, WhoIsWorseThanTheLeaderForCertainIsWorthNothing) {
  const auto places = places_of(sweep(0.0));
  EXPECT_TRUE(places[1].leads);
  EXPECT_TRUE(places[1].serves);
  EXPECT_NEAR(places[1].remaining, (0.4 - 0.2) / 0.8, 1e-12);
  EXPECT_EQ(places[0].improvement, 0);
  EXPECT_GT(places[2].improvement, 0);
}

TEST(GroupRule, ALookIsWorthTheExpectedImprovement) {
  // Members that are as far and as fast: over the window all go the same way, each to its end, so that what a look is worth goes by σ (φ(z) + z Φ(z)), with
  // z = −.01 / σ and σ half of the deviation: .00576 and .01534 for .05 and .1.
  ClusterView view = sweep(0.0);
  for (JobView& j : view.jobs) j.group_best = j.loss;
  const double once = places_of(view)[2].improvement;
  view.jobs[2].end_deviation = 0.1;
  EXPECT_NEAR(places_of(view)[2].improvement / once, 0.01534 / 0.00576, 0.15);
}

TEST(GroupRule, TheLeadersOwnUncertaintyMakesNobodyElseWorthALook) {
  ClusterView view = sweep(0.0);
  view.jobs[1].end_deviation = 10;
  EXPECT_EQ(places_of(view)[0].improvement, 0);
}

TEST(GroupRule, WhoIsSlowerIsWorthLess) {
  ClusterView view = sweep(0.0);
  view.jobs[2].end_deviation = 0.2;
  const double fast = places_of(view)[2].improvement;
  EXPECT_GT(fast, 0);
  view.jobs[2].speed_up.alone = view.jobs[2].steps_per_slot_second = 0.5;  // foretold to end there too, but later
  EXPECT_LT(places_of(view)[2].improvement, fast);
}

TEST(GroupRule, AResumedMemberIsAsFastAsOthersUntilItIsMeasured) {
  ClusterView view = sweep(0.0);
  view.jobs[2].end_deviation = 0.2;
  const double measured = places_of(view)[2].improvement;
  view.jobs[2].speed_up = {}, view.jobs[2].steps_per_slot_second = 0;
  EXPECT_NEAR(places_of(view)[2].improvement, measured, 0.5 * measured);
  // One that leads is served, though nobody knows its rate.
  view.jobs[1].speed_up = {}, view.jobs[1].steps_per_slot_second = 0, view.jobs[1].forecast.clear();
  EXPECT_GT(places_of(view)[1].index, 1e-4);
}

TEST(GroupRule, ANewMemberIsLookedAtOnlyWhereThatIsWorthTheLeadersWait) {
  ClusterView view = sweep(0.0);
  view.hosts[0].slots = 1;
  view.jobs[1].slots = 1, view.jobs[1].quantum_since = Instant{1};
  JobView& fresh = view.jobs.emplace_back(training(4));
  fresh.group = "sweep", fresh.best = true;
  fresh.reports = 0, fresh.step = 0, fresh.total_steps = 0, fresh.loss = fresh.first_loss = 0, fresh.speed_up = {}, fresh.steps_per_slot_second = 0;
  for (JobView& j : view.jobs) j.group_best = 0.9, j.end_deviation = 1e-3;
  // The leader has nearly all before it, and members end nearly alike: little to find.
  view.jobs[1].step = 10, view.jobs[1].loss = 0.9, view.jobs[0].loss = view.jobs[2].loss = 0.95;
  view.jobs[0].step = view.jobs[2].step = 100;
  view.jobs[0].end_loss = view.jobs[2].end_loss = 0.21;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 1U);
  // At its end it brings nothing any more.
  view.jobs[1].step = 995, view.jobs[1].loss = 0.2005;
  for (JobView& j : view.jobs) j.group_best = 0.2005;
  view.jobs[0].end_loss = 0.5, view.jobs[2].end_loss = 0.6;
  EXPECT_EQ(decided_by("sluice", view).jobs[3].slots, 1U);
}

TEST(GroupRule, AGroupThatNobodyWasHeardOfIsBegunBesideOthers) {
  ClusterView view = sweep(0.0);
  for (std::uint64_t id = 4; id <= 5; ++id) {
    JobView& j = view.jobs.emplace_back();
    j.id = JobId{id}, j.slots_max = 1000, j.group = "other", j.best = true;
    j.submitted = j.waits_since = view.now;
  }
  const Decision decision = decided_by("sluice", view);
  EXPECT_GT(decision.jobs[3].slots, 0U);
  EXPECT_GT(decision.jobs[1].slots, 0U);
}

TEST(GroupRule, PastJobsBoundWhatAMemberMayStillCome) {
  ClusterView view = sweep(0.0);
  JobView& third = view.jobs[2];
  third.end_deviation = 1;  // a forecast over a whole length knows nothing
  const double alone = places_of(view)[2].improvement;
  EXPECT_GT(alone, 0.05);
  third.prior_remaining = 0.05, third.prior_deviation = 0.02;  // as a rule a twentieth is left
  EXPECT_LT(places_of(view)[2].improvement, 0.1 * alone);
}

/// A forecast many times as far ahead as a member has come is surer of its end than it can be: what is true of it is how steeply it falls now.
TEST(GroupRule, AYoungMemberIsForetoldToEndByHowSteeplyItFalls) {
  ClusterView view = sweep(0.0);
  JobView& young = view.jobs[2];
  young.step = 100, young.loss = 0.5, young.end_loss = 0.49, young.end_deviation = 1e-3;
  EXPECT_EQ(places_of(view)[2].improvement, 0) << "its own word, where nothing else is foretold";
  // .2 over as many steps again is .29 in the logarithm of the steps: .39 more to its end, with p = ½.
  young.forecast = {{10, 0.03, 1e-3}, {100, 0.2, 1e-3}, {400, 0.21, 1e-3}};
  EXPECT_TRUE(places_of(view)[2].leads);
  young.forecast = {{10, 0.01, 1e-3}, {100, 0.14, 1e-3}, {400, 0.15, 1e-3}};  // to .22 ± .08: not lower than .2, but perhaps
  EXPECT_GT(places_of(view)[2].improvement, 1e-3);
  young.forecast = {{10, 0.001, 1e-4}, {100, 0.01, 1e-4}, {400, 0.02, 1e-4}};
  EXPECT_EQ(places_of(view)[2].improvement, 0) << "it has come to where it stays";
}

/// Curves of one group seldom cross late: a third of the way, three quarters of what lies between two of them stay.
TEST(GroupRule, AMembersEndIsToldFromWhereItStandsBesideTheFurthestAtEqualSteps) {
  ClusterView view = sweep(0.0);
  view.jobs.erase(view.jobs.begin());
  JobView &ahead = view.jobs[0], &young = view.jobs[1];
  ahead.rungs = {0.9, 0.8, 0.7};  // at 37, 111 and 333 of 1000 steps
  young.step = 111, young.end_loss = 0.5, young.end_deviation = 1;
  const auto improvement = [&](double loss) {
    young.loss = young.level = loss;
    return places_of(view)[1].improvement;
  };
  EXPECT_LT(improvement(1.2), 1e-6) << "far above where the leader was: it ends above it, and its own word is worth little";
  EXPECT_GT(improvement(0.8), 1e-3);
  (void)improvement(0.5);
  EXPECT_TRUE(places_of(view)[1].leads) << "far below where the leader was";
  young.step = 20;
  EXPECT_GT(improvement(1.2), 0.01) << "before the first rung curves are not compared";
}

/// With several slots a member goes faster and ends sooner and higher: the steps that it declared bring less each.
TEST(GroupRule, ALeaderHasNoMoreSlotsThanItsEndIsWorth) {
  ClusterView view = sweep(0.0);
  view.hosts[0].slots = 2;
  for (JobView& j : view.jobs) j.step = 40;  // most is before them
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 2U) << "nothing is stale";
  for (JobView& j : view.jobs) j.speed_up.staleness_per_slot = 0.05, j.speed_up.penalty = 0.15;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 2U) << "or little";
  for (JobView& j : view.jobs) j.speed_up.staleness_per_slot = 4;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, 1U);
  view.jobs.erase(view.jobs.begin() + 2), view.jobs.erase(view.jobs.begin());
  view.hosts[0].slots = 8;
  EXPECT_LE(decided_by("sluice", view).jobs[0].slots, 2U) << "nor where nobody else can use the others";
  view.jobs[0].speed_up.staleness_per_slot = 0.001;
  view.hosts[0].slots = 3;
  EXPECT_EQ(decided_by("sluice", view).jobs[0].slots, 3U) << "not only powers of two";
}

TEST(GroupRule, WhereNobodyIsForetoldToComeBelowWhatWasReachedWhoMayFirstIsServed) {
  ClusterView view = sweep(0.0);
  for (JobView& j : view.jobs) j.group_best = 0.1;
  view.jobs[0].end_loss = 0.8, view.jobs[1].end_loss = 0.9, view.jobs[2].end_loss = 0.7;
  for (JobView& j : view.jobs) j.end_deviation = 0.01;
  view.jobs[1].end_deviation = 0.3;
  EXPECT_EQ(decided_by("sluice", view).jobs[1].slots, kSlots);
  // A mean over a window of what is the same throughout differs from it in its last bits.
  for (const double best : {0.1, 0.35, 0.37, 1.0 / 3}) {
    for (JobView& j : view.jobs) j.group_best = best, j.end_loss = best + 0.5;
    EXPECT_TRUE(places_of(view)[1].leads) << best;
  }
}

/// A group whose leader has failed is begun again: its other members have shown nothing of where they end yet.
TEST(GroupRule, WhereTheLeaderFailedWhoHasHardlyBegunMayBeBetterAsOneThatWasNotHeard) {
  ClusterView view = sweep(0.0);
  for (JobView& j : view.jobs) {
    j.group_best = 0.4, j.end_deviation = 1e-3;
    if (&j != &view.jobs[1]) j.step = 4, j.reports = 2, j.loss = j.level = 0.98, j.end_loss = 0.9;
  }
  EXPECT_EQ(places_of(view)[2].improvement, 0) << "while another one is foretold to come to .2";
  view.jobs[1].loss = view.jobs[1].level = view.jobs[1].end_loss = 1.5;
  EXPECT_GT(places_of(view)[0].improvement + places_of(view)[2].improvement, 1e-3);
  for (std::size_t i : {0, 2}) view.jobs[i].step = 100;
  EXPECT_EQ(places_of(view)[0].improvement + places_of(view)[2].improvement, 0) << "they have told that they end high";
}

TEST(InOrder, FifoBySubmissionSrtfByWhatIsLeft) {
  ClusterView view = of_slots(kSlots, 0.0);
  for (std::uint64_t id = 1; id <= 3; ++id) view.jobs.push_back(training(id));
  view.jobs[0].slots_max = 20;
  view.jobs[2].step = 900;
  const Decision fifo = decided_by("fifo", view), srtf = decided_by("srtf", view);
  EXPECT_EQ(fifo.jobs[0].slots, 20U);
  EXPECT_EQ(fifo.jobs[1].slots, 12U);
  EXPECT_EQ(srtf.jobs[2].slots, kSlots);
  view.jobs[1].weight = 10;
  EXPECT_EQ(decided_by("srtf", view).jobs[1].slots, kSlots) << "a weight of ten outweighs a fifth of the time";
}

TEST(Slaq, QuantaAreKeptOnlyWhereThereAreFewerSlotsThanJobs) {
  for (const std::uint32_t slots : {32U, 1U}) {
    ClusterView view = of_slots(slots, 0.0);
    view.jobs = {training(1), training(2)};
    view.jobs[0].slots = std::max(1U, slots - 1), view.jobs[1].slots = slots - view.jobs[0].slots;
    for (JobView& job : view.jobs) job.quantum_since = view.now;
    view.jobs[0].forecast = {{32, 0.001, 0}};
    view.jobs[1].forecast = {{32, 0.3, 0}};
    const auto decision = decided_by("slaq", view);
    if (slots > 1)
      EXPECT_TRUE(decision.jobs[0].slots == 1 && decision.jobs[1].slots == slots - 1) << decision.jobs[0].slots << decision.jobs[0].sentence;
    else
      EXPECT_EQ(decision.jobs[0].slots, 1U) << decision.jobs[0].sentence;
  }
}

TEST(Optimus, TheSlotGoesWhereItSavesMostTime) {
  ClusterView view = of_slots(8, 0.1);
  view.jobs = {training(1), training(2)};
  for (JobView& j : view.jobs) j.speed_up.kappa = 0.1;
  EXPECT_EQ(decided_by("optimus", view).jobs[0].slots, 4U) << "alike: the same";
  view.jobs[1].total_steps = 5000;
  EXPECT_GE(decided_by("optimus", view).jobs[1].slots, 6U);
  EXPECT_GE(decided_by("optimus", view).jobs[0].slots, 1U) << "everyone starts at one";
}

TEST(Asha, OnlyTheBestThirdAtARungGoesOnAndTheOthersComeBack) {
  ClusterView view = of_slots(6, 0.0);
  for (std::uint64_t id = 1; id <= 6; ++id) {
    JobView& j = view.jobs.emplace_back(training(id));
    j.group = "sweep";
    j.rungs = {1.0 - 0.1 * static_cast<double>(id)};
  }
  Decision decision = decided_by("asha", view);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(decision.jobs[i].slots, i < 4 ? 0U : 3U) << i;
  view.jobs[5].slots_max = 1;
  decision = decided_by("asha", view);
  EXPECT_EQ(decision.jobs[4].slots, 5U);
  view.jobs.resize(4);  // the two ended
  decision = decided_by("asha", view);
  EXPECT_EQ(decision.jobs[3].slots, 6U) << "the best of the others goes on";
}

}  // namespace
}  // namespace sluice::manager
