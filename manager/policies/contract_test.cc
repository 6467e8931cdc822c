/// The contract of manager/policy.h over every registered policy, on views drawn from seeds; then what single policies promise.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/rng.h"
#include "manager/policies/claims.h"
#include "manager/policies/slaq.h"
#include "manager/policy.h"

namespace sluice::manager {
namespace {

std::vector<ForecastKnot> falling(double scale, double rate) {
  std::vector<ForecastKnot> knots;
  for (double steps = 50; steps < 20000; steps *= 2) knots.push_back({steps, scale * (1 - std::exp(-rate * steps)), 0.01});
  return knots;
}

JobView job(std::uint64_t id) {
  JobView j;
  j.id = JobId{id};
  j.name = fmt::format("job-{}", id);
  j.slots_max = 1024;
  j.phase = JobPhase::kTraining;
  j.reports = 10;
  j.first_loss = 2;
  j.loss = j.level = 1;
  j.floor = 0.1;
  j.largest_drop = 0.3;
  j.steps_per_slot_second = 1000;
  j.submitted = j.waits_since = Instant{100'000'000'000};
  return j;
}

ClusterView cluster(std::uint32_t slots) {
  ClusterView view;
  view.now = Instant{100'000'000'000};
  view.elapsed = from_ms(500);
  for (std::uint32_t i = 0; i < slots; i += 4)
    view.hosts.push_back({.id = WorkerId{i + 1}, .name = fmt::format("w{}", i), .slots = std::min(4U, slots - i), .capacity = {}, .owner = {}});
  return view;
}

/// Any view at all: what earlier rounds left behind included.
ClusterView drawn(std::uint64_t seed) {
  SeededRng rng(seed);
  ClusterView view = cluster(static_cast<std::uint32_t>(rng.below(20)));
  std::uint32_t held = slots_of(view);
  const std::uint64_t jobs = rng.below(14);
  for (std::uint64_t i = 0; i < jobs; ++i) {
    JobView j = job(1 + i * 3);
    j.weight = 0.5 + 3 * rng.uniform();
    j.slots_min = static_cast<std::uint32_t>(rng.below(4) == 0 ? rng.below(4) : 0);
    j.slots_max = j.slots_min + 1 + static_cast<std::uint32_t>(rng.below(2) == 0 ? rng.below(3) : 1000);
    j.usable = rng.below(4) == 0 ? 1 + static_cast<std::uint32_t>(rng.below(3)) : 1000;
    j.reports = rng.below(3) == 0 ? rng.below(3) : 20;
    j.phase = j.reports < 2 ? JobPhase::kWarmingUp : static_cast<JobPhase>(1 + rng.below(4));
    if (j.reports >= 2 && j.phase != JobPhase::kEvaluating) j.forecast = falling(rng.uniform(), rng.uniform() * 1e-2);
    j.slots = static_cast<std::uint32_t>(std::min<std::uint64_t>(held, rng.below(4)));
    held -= j.slots;
    j.quantum_since = Instant{view.now.ns - static_cast<std::int64_t>(rng.below(1'500'000'000))};
    j.deficit_ns = static_cast<std::int64_t>(rng.below(2'000'000'000)) - 1'000'000'000;
    j.move_cost = from_ms(static_cast<std::int64_t>(rng.below(40)));
    if (rng.below(3) == 0) {
      j.group = rng.below(2) == 0 ? "one" : "two";
      j.best = rng.below(4) != 0;
      j.group_best = 0.5, j.end_loss = rng.uniform(), j.end_deviation = 0.1 * rng.uniform();
      j.total_steps = 1000, j.declared = true, j.prior_slope = 1e-3;
      for (std::uint64_t k = rng.below(4); k > 0; --k) j.rungs.push_back(1 + rng.uniform());
    }
    if (rng.below(5) == 0) j.slots_max = 0;  // paused a moment ago, or long since; its minimum is whatever it was
    view.jobs.push_back(std::move(j));
  }
  return view;
}

constexpr std::uint64_t kSeeds = 400;

std::unique_ptr<Policy> policy_named(const std::string& name) {
  static const PolicyRegistry registry = builtin_policies();
  return (**registry.find(name))();
}

Decision decide(const Policy& policy, const ClusterView& view) {
  const auto memo = policy.make_memo();
  return policy.decide(view, *memo);
}

std::map<JobId, JobDecision> by_job(const Decision& decision) {
  std::map<JobId, JobDecision> out;
  for (const JobDecision& d : decision.jobs) out[d.job] = d;
  return out;
}

/// What the next round sees of a decision, `elapsed` later.
void carry(ClusterView& view, const Decision& decision, Duration elapsed) {
  const auto decided = by_job(decision);
  for (JobView& j : view.jobs) {
    const JobDecision& d = decided.at(j.id);
    j.slots = d.slots;
    j.deficit_ns = d.deficit_ns;
    j.quantum_since = d.quantum_since;
    if (d.slots > 0) j.waits_since = view.now + elapsed;
  }
  view.now = view.now + elapsed;
  view.elapsed = elapsed;
}

class PolicyContract : public testing::TestWithParam<std::string> {
 protected:
  const std::unique_ptr<Policy> policy = policy_named(GetParam());
};

TEST_P(PolicyContract, GrantsNeverExceedSlotsNorAJobsMaximum) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    const Decision decision = decide(*policy, view);
    const auto decided = by_job(decision);
    ASSERT_EQ(decided.size(), view.jobs.size());
    std::uint32_t sum = 0;
    for (const JobView& j : view.jobs) {
      EXPECT_LE(decided.at(j.id).slots, std::min(j.slots_max, j.usable));
      EXPECT_FALSE(decided.at(j.id).sentence.empty());
      sum += decided.at(j.id).slots;
    }
    EXPECT_LE(sum, slots_of(view));
  }
}

TEST_P(PolicyContract, NoSlotIsIdleWhileAJobCouldUseIt) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    std::uint32_t sum = 0, wanted = 0;
    for (const JobDecision& d : decide(*policy, view).jobs) sum += d.slots;
    for (const JobView& j : view.jobs) wanted += std::min({j.slots_max, j.usable, slots_of(view)});
    EXPECT_EQ(sum, std::min(wanted, slots_of(view)));
  }
}

TEST_P(PolicyContract, MinimumsAreKeptWhereTheyFit) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    std::uint32_t minimums = 0;
    for (const JobView& j : view.jobs) minimums += j.slots_max == 0 ? 0 : std::max(j.slots_min, j.phase == JobPhase::kEvaluating ? 1U : 0U);
    if (minimums > slots_of(view)) continue;
    const auto decided = by_job(decide(*policy, view));
    for (const JobView& j : view.jobs) EXPECT_GE(decided.at(j.id).slots, std::min({j.slots_min, j.slots_max, j.usable}));
  }
}

TEST_P(PolicyContract, TheSameViewGivesTheSameDecisionInAnyOrderAndWithAnyMemo) {
  const auto memo = policy->make_memo();
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    ClusterView view = drawn(seed);
    const Decision decision = decide(*policy, view);
    EXPECT_EQ(policy->decide(view, *memo), decision);  // a memo full of other rounds
    SeededRng rng(seed + 1);
    for (std::size_t i = view.jobs.size(); i > 1; --i) std::swap(view.jobs[i - 1], view.jobs[rng.below(i)]);
    std::reverse(view.hosts.begin(), view.hosts.end());
    EXPECT_EQ(decide(*policy, view), decision);
  }
}

TEST_P(PolicyContract, ItMovesNoMoreThanItsStatedBound) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    const auto decided = by_job(decide(*policy, view));
    std::uint32_t given = 0;
    for (const JobView& j : view.jobs) given += decided.at(j.id).slots - std::min(decided.at(j.id).slots, j.slots);
    EXPECT_LE(given, policy->moves_max(view));
  }
}

TEST_P(PolicyContract, AnEvaluatingJobHasASlotAtOnce) {
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    std::uint32_t evaluating = 0;
    const auto evaluates = [](const JobView& j) { return j.phase == JobPhase::kEvaluating && j.slots_max > 0; };
    for (const JobView& j : view.jobs) evaluating += evaluates(j) ? std::max(1U, std::min(j.slots_min, j.usable)) : 0;
    if (evaluating > slots_of(view)) continue;
    const auto decided = by_job(decide(*policy, view));
    for (const JobView& j : view.jobs) {
      if (evaluates(j)) { EXPECT_GE(decided.at(j.id).slots, 1U); }
    }
  }
}

TEST_P(PolicyContract, APausedJobHoldsNothingAndTheOthersAreDecidedUponAsIfItWereNotThere) {
  std::size_t paused = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    const ClusterView view = drawn(seed);
    ClusterView without = view;
    std::erase_if(without.jobs, [](const JobView& j) { return j.slots_max == 0; });
    const Decision decision = decide(*policy, view), alone = decide(*policy, without);
    EXPECT_EQ(decision.refused, alone.refused);
    const auto decided = by_job(decision), expected = by_job(alone);
    for (const JobView& j : view.jobs) {
      if (j.slots_max > 0) {
        EXPECT_EQ(decided.at(j.id), expected.at(j.id)) << j.id.value;
      } else {
        EXPECT_EQ(decided.at(j.id).slots, 0U) << j.id.value;
        EXPECT_EQ(decided.at(j.id).share, 0) << j.id.value;
        ++paused;
      }
    }
  }
  EXPECT_GT(paused, 100U);
}

TEST_P(PolicyContract, ADivergingJobHasItsMinimumWhileOthersWantTheSlotsAndTheRestOtherwise) {
  ClusterView view = cluster(2);
  for (std::uint64_t id = 1; id <= 3; ++id) view.jobs.push_back(job(id));
  view.jobs[0].phase = JobPhase::kDiverging;
  for (int round = 0; round < 20; ++round) {
    const Decision decision = decide(*policy, view);
    EXPECT_EQ(by_job(decision).at(JobId{1}).slots, 0U);
    EXPECT_EQ(by_job(decision).at(JobId{1}).reason, Reason::kParked);
    carry(view, decision, from_ms(500));
  }
  view.jobs.resize(1);
  EXPECT_EQ(by_job(decide(*policy, view)).at(JobId{1}).slots, 2U);
}

TEST_P(PolicyContract, WithFewerSlotsThanJobsASlotStaysUntilTheQuantumEnds) {
  ClusterView view = cluster(2);
  for (std::uint64_t id = 1; id <= 6; ++id) {
    view.jobs.push_back(job(id));
    view.jobs.back().forecast = falling(1, 1e-4 * static_cast<double>(id));
    view.jobs.back().move_cost = from_ms(100);  // a quantum of 2 s
  }
  Decision before = decide(*policy, view);
  carry(view, before, from_ms(500));
  for (int round = 1; round < 12; ++round) {
    for (JobView& j : view.jobs)
      std::reverse(j.forecast.begin(), j.forecast.end()),
          j.forecast = falling(1, 1e-4 * static_cast<double>((j.id.value * 7 + static_cast<std::uint64_t>(round)) % 6));
    const Decision now = decide(*policy, view);
    for (std::size_t i = 0; i < now.jobs.size() && round % 4 != 0; ++i) EXPECT_EQ(now.jobs[i].slots, before.jobs[i].slots) << "round " << round;
    before = now;
    carry(view, now, from_ms(500));
  }
}

TEST_P(PolicyContract, NoSlotsAndNoJobsAreNoTrouble) {
  ClusterView view = cluster(0);
  EXPECT_TRUE(decide(*policy, view).jobs.empty());
  view.jobs.push_back(job(1));
  const Decision decision = decide(*policy, view);
  EXPECT_EQ(decision.jobs[0].slots, 0U);
  EXPECT_EQ(decision.jobs[0].reason, Reason::kNoSlots);
}

INSTANTIATE_TEST_SUITE_P(AllPolicies, PolicyContract, testing::ValuesIn(builtin_policies().names()), [](const auto& p) {
  std::string name = p.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

/// Slot-seconds each job got over `rounds` rounds.
std::map<JobId, double> served(const Policy& policy, ClusterView view, int rounds) {
  std::map<JobId, double> out;
  for (int round = 0; round < rounds; ++round) {
    const Decision decision = decide(policy, view);
    for (const JobDecision& d : decision.jobs) out[d.job] += 0.5 * d.slots;
    carry(view, decision, from_ms(500));
  }
  return out;
}

TEST(FairPolicy, EveryJobGetsItsWeightedShareInTheLongRun) {
  for (const std::uint32_t slots : {1U, 2U, 3U, 5U, 16U})
    for (const std::uint64_t jobs : {2U, 3U, 8U, 20U}) {
      ClusterView view = cluster(slots);
      double weights = 0;
      for (std::uint64_t id = 1; id <= jobs; ++id) {
        view.jobs.push_back(job(id));
        view.jobs.back().weight = 1 + static_cast<double>(id % 2);
        weights += view.jobs.back().weight;
      }
      const auto got = served(*policy_named("fair"), view, 400);
      for (const JobView& j : view.jobs)
        EXPECT_NEAR(got.at(j.id), 200.0 * slots * j.weight / weights, 1.5) << slots << " slots, " << jobs << " jobs, job " << j.id.value;
    }
}

TEST(FairPolicy, NobodyWithWorkStarves) {
  ClusterView view = cluster(1);
  for (std::uint64_t id = 1; id <= 40; ++id) view.jobs.push_back(job(id));
  std::map<JobId, int> last;
  for (int round = 0; round < 400; ++round) {
    if (round % 50 == 49) view.jobs.push_back(job(1000 + static_cast<std::uint64_t>(round)));  // newcomers don't starve the old
    const Decision decision = decide(*policy_named("fair"), view);
    for (const JobDecision& d : decision.jobs) {
      if (d.slots > 0) last[d.job] = round;
      EXPECT_LE(round - last.try_emplace(d.job, round).first->second, 60) << "job " << d.job.value;
    }
    carry(view, decision, from_ms(500));
  }
}

TEST(SlaqPolicy, WithMoreSlotsThanJobsEveryoneHasOneAndTheSteepestTheRest) {
  ClusterView view = cluster(8);
  for (std::uint64_t id = 1; id <= 3; ++id) view.jobs.push_back(job(id));
  view.jobs[1].forecast = falling(1, 1e-5);
  view.jobs[2].forecast = falling(1, 2e-4);
  const Decision decision = decide(*policy_named("slaq"), view);
  EXPECT_EQ(decision.jobs[0].slots, 1U);  // nothing predicted
  EXPECT_GE(decision.jobs[1].slots, 1U);
  EXPECT_GE(decision.jobs[2].slots, 5U);
  EXPECT_EQ(decision.jobs[2].reason, Reason::kLargestDrop);
  EXPECT_GT(decision.jobs[2].drop_with, decision.jobs[2].drop_without);
}

TEST(SlaqPolicy, ANewJobStartsAtItsFairShare) {
  ClusterView view = cluster(9);
  for (std::uint64_t id = 1; id <= 3; ++id) view.jobs.push_back(job(id));
  for (JobView& j : view.jobs) j.forecast = falling(1, 1e-3);
  view.jobs[2].reports = 0;
  view.jobs[2].phase = JobPhase::kWarmingUp;
  view.jobs[2].forecast.clear();
  EXPECT_EQ(decide(*policy_named("slaq"), view).jobs[2].slots, 3U);
}

TEST(SlaqPolicy, WithFewerSlotsThanJobsTheUntriedComeFirstBySubmissionThenTheSteepest) {
  ClusterView view = cluster(2);
  for (std::uint64_t id = 1; id <= 5; ++id) view.jobs.push_back(job(id));
  for (JobView& j : view.jobs) j.forecast = falling(1, 1e-4 * static_cast<double>(j.id.value));
  for (const std::size_t i : {1U, 3U}) view.jobs[i].reports = 1, view.jobs[i].forecast.clear();
  Decision decision = decide(*policy_named("slaq"), view);
  EXPECT_EQ(decision.jobs[1].slots, 1U);
  EXPECT_EQ(decision.jobs[3].slots, 1U);
  carry(view, decision, from_ms(600));
  for (const std::size_t i : {1U, 3U}) view.jobs[i].reports = 4, view.jobs[i].forecast = falling(1, 1e-9);
  decision = decide(*policy_named("slaq"), view);
  EXPECT_EQ(decision.jobs[1].slots + decision.jobs[3].slots, 2U) << "what a few reports look like does not count";
  EXPECT_EQ(decision.jobs[1].reason, Reason::kFirstReports);
  carry(view, decision, from_ms(600));
  for (const std::size_t i : {1U, 3U}) view.jobs[i].reports = 5;
  decision = decide(*policy_named("slaq"), view);
  EXPECT_EQ(decision.jobs[4].slots, 2U);
  ASSERT_FALSE(decision.refused.empty());
  EXPECT_GT(decision.jobs[4].marginal_gain, 0);
}

TEST(SlaqPolicy, AJobThatNeverReportsDoesNotKeepTheSlotForEver) {
  ClusterView view = cluster(1);
  for (std::uint64_t id = 1; id <= 3; ++id) view.jobs.push_back(job(id));
  view.jobs[0].reports = 0;
  for (const std::size_t i : {1U, 2U}) view.jobs[i].forecast = falling(1, 1e-3);
  const auto got = served(*policy_named("slaq"), view, 100);
  EXPECT_GT(got.at(JobId{2}) + got.at(JobId{3}), 25);  // of 50
}

TEST(SlaqPolicy, AJobThatLooksFlatIsHeardAgain) {
  ClusterView view = cluster(1);
  for (std::uint64_t id = 1; id <= 4; ++id) view.jobs.push_back(job(id));
  view.jobs[0].forecast = falling(1, 1e-3);
  const auto got = served(*policy_named("slaq"), view, 400);
  for (std::uint64_t id = 2; id <= 4; ++id) EXPECT_NEAR(got.at(JobId{id}), 200.0 / 4 / 4, 3) << "a quarter of all slot time goes round: job " << id;
  EXPECT_GT(got.at(JobId{1}), 150);
}

TEST(SlaqPolicy, WhatAMoveCostsIsWeighedAgainstAWholeQuantum) {
  ClusterView view = cluster(1);
  for (std::uint64_t id = 1; id <= 2; ++id) view.jobs.push_back(job(id));
  view.jobs[0].forecast = falling(1, 1e-5);
  view.jobs[1].forecast = falling(1, 1e-3);
  view.jobs[1].move_cost = from_ms(600);  // longer than a round; its quantum would be 12 s
  const Decision decision = decide(*policy_named("slaq"), view);
  EXPECT_EQ(decision.jobs[1].slots, 1U);
  EXPECT_GT(decision.jobs[1].marginal_gain, 0);
}

TEST(SlaqPolicy, JobsWithNothingLeftToGainShareByWhatTheyAreOwed) {
  ClusterView view = cluster(1);
  for (std::uint64_t id = 1; id <= 4; ++id) view.jobs.push_back(job(id));
  for (const auto& [id, seconds] : served(*policy_named("slaq"), view, 80)) EXPECT_NEAR(seconds, 10, 1) << id.value;
}

TEST(Claims, AForecastIsReadBetweenItsKnots) {
  JobView j = job(1);
  j.forecast = {{100, 1, 0.1}, {200, 1.5, 0.2}};
  EXPECT_DOUBLE_EQ(drop_after(j, 0).drop, 0);
  EXPECT_DOUBLE_EQ(drop_after(j, 50).drop, 0.5);
  EXPECT_DOUBLE_EQ(drop_after(j, 150).drop, 1.25);
  EXPECT_DOUBLE_EQ(drop_after(j, 1e9).drop, 1.5);
  EXPECT_DOUBLE_EQ(drop_after(j, 150).deviation, 0.15);
}

}  // namespace
}  // namespace sluice::manager
