#include "sim/simulation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "sim/track.h"

namespace sluice::sim {
namespace {

SimJob job(const std::string& name, double steps, double slot_seconds_per_step, double arrives = 0, double power = 1) {
  std::vector<double> losses;
  for (double step = 0; step <= steps; ++step) losses.push_back(1 + std::pow(1 + step / 10, -power));
  return {name, Curve(std::move(losses)), steps, slot_seconds_per_step, from_seconds(arrives)};
}

SimResult run(const SimOptions& options, const std::vector<SimJob>& jobs) {
  auto result = simulate(options, jobs);
  EXPECT_TRUE(result) << result.error().what;
  return result ? *result : SimResult{};
}

TEST(Simulation, OneJobTakesTheTimeThatItsStepsTake) {
  SimOptions options{.policy = "fair", .slots = 1};
  const auto alone = run(options, {job("a", 1000, 0.01)});
  EXPECT_NEAR(*alone.jobs[0].completed, 10 + options.move_cost.seconds(), 0.01);
  EXPECT_NEAR(alone.jobs[0].slot_seconds, 10, 0.01);
  EXPECT_EQ(alone.jobs[0].moves, 1U);
  EXPECT_LT(*alone.jobs[0].to_50, *alone.jobs[0].to_90);
  EXPECT_NEAR(*alone.jobs[0].to_50, job("a", 1000, 0.01).curve.steps_to_fraction(0.5) * 0.01, 0.01);
  options.slots = 4;
  EXPECT_NEAR(*run(options, {job("a", 1000, 0.01)}).jobs[0].completed, 2.5, 0.01) << "linear speed-up";
  options.kappa = 0.1;
  EXPECT_NEAR(*run(options, {job("a", 1000, 0.01)}).jobs[0].completed, 2.5 * 1.3, 0.01) << "four slots are worth 4 / 1.3";
}

TEST(Simulation, NothingIsLostAndTheSameSeedGivesTheSame) {
  for (const char* policy : {"fair", "slaq"}) {
    const SimOptions options{.policy = policy, .slots = 3, .step_noise = 0.1, .seed = 5};
    const std::vector<SimJob> jobs = {job("a", 2000, 0.004), job("b", 500, 0.02, 1.5), job("c", 3000, 0.002, 0, 0.5), job("d", 100, 0.01, 9)};
    const auto once = run(options, jobs), again = run(options, jobs);
    double work = 0, held = 0;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      ASSERT_TRUE(once.jobs[i].completed) << policy << i;
      EXPECT_EQ(once.jobs[i].completed, again.jobs[i].completed);
      EXPECT_EQ(once.jobs[i].loss_seconds, again.jobs[i].loss_seconds);
      EXPECT_LE(once.jobs[i].loss_seconds, *once.jobs[i].completed + 1e-9);
      work += jobs[i].steps * jobs[i].slot_seconds_per_step;
      held += once.jobs[i].slot_seconds;
    }
    EXPECT_NEAR(held, work, 0.01 * work) << policy;
    EXPECT_GE(once.seconds, work / 3);
    EXPECT_GE(*once.jobs[3].completed, 1.0 / 3) << "its own work on all slots, from its arrival on";
  }
}

TEST(Simulation, FairSharesAreEqual) {
  SimOptions options{.policy = "fair", .slots = 2, .move_cost = {}, .until = from_seconds(60)};
  std::vector<SimJob> jobs;
  for (const char* name : {"a", "b", "c", "d", "e"}) jobs.push_back(job(name, 1e5, 0.01));
  for (const auto& result : run(options, jobs).jobs) {
    EXPECT_NEAR(result.slot_seconds, 60 * 2 / 5.0, 1) << result.name;
    EXPECT_FALSE(result.completed);
  }
}

/// What the manager is for: with more jobs than slots, a few of which still fall, hearing the loss brings them forward.
TEST(Simulation, SlaqReachesNineTenthsSoonerThanFairWhereJobsDiffer) {
  std::vector<SimJob> jobs;
  for (int i = 0; i < 9; ++i) jobs.push_back(job("quick-" + std::to_string(i), 20000, 0.001, 0, 3));
  for (int i = 0; i < 3; ++i) jobs.push_back(job("long-" + std::to_string(i), 20000, 0.001, 0, 0.3));
  const auto mean = [&](const char* policy) {
    double sum = 0;
    for (const auto& result : run({.policy = policy, .slots = 2, .step_noise = 0.05}, jobs).jobs) sum += *result.to_90 / 12;
    return sum;
  };
  const double fair = mean("fair"), slaq = mean("slaq");
  EXPECT_LT(slaq, 0.85 * fair) << slaq << " s and " << fair << " s";
}

/// Of two jobs of one length the one whose true curve falls steeper from where it is has all slots, then the other: the first half of the time brings nearly
/// all that both have to give.
TEST(Simulation, OracleCurveServesTheSteepestTrueCurveFirst) {
  const std::vector<SimJob> jobs = {job("slow", 2000, 0.01, 0, 0.2), job("steep", 2000, 0.01, 0, 3)};
  const auto fair = run({.policy = "fair", .slots = 2, .move_cost = {}}, jobs), oracle = run({.policy = "oracle-curve", .slots = 2, .move_cost = {}}, jobs);
  EXPECT_LT(*oracle.jobs[1].to_90, 0.7 * *fair.jobs[1].to_90) << "both slots are its own until it is nearly flat";
  EXPECT_LT(oracle.jobs[0].loss_seconds + oracle.jobs[1].loss_seconds, fair.jobs[0].loss_seconds + fair.jobs[1].loss_seconds);
  double held = 0;
  for (const auto& result : oracle.jobs) held += result.slot_seconds;
  EXPECT_NEAR(held, 40, 0.5) << "nothing is idle while there is work";
}

/// Of a group of which only the best counts. `slow` ends lowest, `quick` falls fastest at first.
TEST(Simulation, OracleWinnerServesWhoComesLowestFirst) {
  std::vector<SimJob> jobs = {
      {"quick", Curve({2, 1, 0.95}, 500), 1000, 0.01}, {"bad", Curve({2, 1.9}, 1000), 1000, 0.01}, {"slow", Curve({2, 1.2, 0.5}, 500), 1000, 0.01}};
  for (SimJob& j : jobs) j.group = "g", j.best = true;
  SimOptions options{.policy = "oracle-winner", .slots = 1, .move_cost = {}};
  const SimResult one = run(options, jobs);
  EXPECT_NEAR(*one.jobs[2].completed, 10, 0.01);
  // (1.5 → .7 → 0) / 1.5 over 5 s each: (1 + .4667) / 2 × 5 + .4667 / 2 × 5
  EXPECT_NEAR(one.groups[0].loss_seconds, 4.8333, 0.01);
  EXPECT_TRUE(one.jobs[0].completed && one.jobs[1].completed) << "the others come to their ends all the same";
  options.policy = "oracle-curve";
  EXPECT_GT(run(options, jobs).groups[0].loss_seconds, one.groups[0].loss_seconds + 0.5) << "it does not know of groups";
  // Two slots make gradients stale: the winner has one, the second is for who brings most beside it.
  for (SimJob& j : jobs) j.staleness = 4, j.penalty = 0.15;
  options.policy = "oracle-winner", options.slots = 2;
  const SimResult two = run(options, jobs);
  EXPECT_NEAR(*two.jobs[2].completed, 10, 0.01);
  EXPECT_EQ(two.jobs[2].left, 0) << "no step of it was stale";
  EXPECT_LT(*two.jobs[0].completed, *two.jobs[1].completed);
}

TEST(Simulation, JobsThatComeTogetherComeInTheOrderGiven) {
  const SimResult result = run({.policy = "fifo", .slots = 1}, {job("a", 100, 0.01), job("b", 100, 0.01), job("c", 100, 0.01, 0.5)});
  EXPECT_LT(*result.jobs[0].completed, *result.jobs[1].completed);
  EXPECT_LT(*result.jobs[1].completed, *result.jobs[2].completed + 0.5);
}

/// Undeclared jobs end as live ones do with `stop: {converged: yes}`: by what their homes heard.
TEST(Simulation, AnUndeclaredJobEndsWhenItHasConvergedOrWithItsCurve) {
  std::vector<double> losses;
  for (double step = 0; step <= 4000; ++step) losses.push_back(0.3 + 2 * std::exp(-step / 150));
  SimJob stops{"stops", Curve(losses), 4000, 0.01}, falls{"falls", Curve({2, 1}, 4000), 4000, 0.01};
  const SimOptions options{.policy = "fair", .slots = 1, .move_cost = {}};
  const auto ended = [&](SimJob job, bool declared) {
    job.declared = declared;
    return run(options, {job}).jobs[0];
  };
  EXPECT_NEAR(*ended(stops, true).completed, 40, 0.1) << "whoever says how long it is trains so long";
  const JobResult early = ended(stops, false);
  EXPECT_GT(*early.completed, 9) << "98 % of the fall is done after 587 steps, and then it is to be seen";
  EXPECT_LT(*early.completed, 25);
  EXPECT_LT(early.left, 0.02);
  EXPECT_TRUE(early.to_95);
  EXPECT_NEAR(early.slot_seconds, *early.completed, 0.01) << "nothing is trained after it";
  EXPECT_NEAR(*ended(falls, false).completed, 40, 0.1) << "what goes on falling ends with its curve";
  EXPECT_EQ(ended(falls, false).left, 0);
}

TEST(Simulation, StaleStepsCountForLess) {
  SimJob one = job("one", 3000, 0.01);
  one.staleness = 4, one.penalty = 0.25;  // two slots: 1 / (1 + .25 × 4) = .5
  SimJob fresh = one;
  fresh.penalty = 0;
  SimOptions options{.policy = "fair", .slots = 2, .move_cost = {}};
  const auto stale = run(options, {one}).jobs[0], both = run(options, {fresh}).jobs[0];
  EXPECT_NEAR(*stale.completed, 15, 0.1) << "its steps take no longer";
  EXPECT_NEAR(*stale.to_50, 2 * *both.to_50, 0.05);
  EXPECT_NEAR(*stale.to_90, 2 * *both.to_90, 0.1);
  EXPECT_NEAR(stale.left, one.curve.normalized(1500), 1e-6) << "and bring it as far as half of them fresh";
  EXPECT_EQ(both.left, 0);
  options.slots = 1;
  EXPECT_NEAR(*run(options, {one}).jobs[0].to_90, 2 * *both.to_90, 0.1) << "one slot alone is never stale";

  // The manager's index, told the truth: the job that gains twice as much has both slots where a second one is worth what the first is, and one where it is
  // worth a quarter.
  const auto quick_ends = [&](double staleness) {
    std::vector<SimJob> two = {{"quick", Curve({2, 1}, 3000), 3000, 0.01}, {"slow", Curve({2, 1}, 3000), 3000, 0.02}};
    for (SimJob& j : two) j.staleness = staleness, j.penalty = 0.15;
    return *run({.policy = "oracle-aged", .predictor = "last", .slots = 2, .move_cost = {}}, two).jobs[0].completed;
  };
  EXPECT_LT(quick_ends(0), 20);
  EXPECT_GT(quick_ends(4), 25);
}

/// As where jobs are submitted together: what goes by id among equals goes in the order given.
TEST(Simulation, JobsThatArriveTogetherComeInTheOrderGiven) {
  std::vector<SimJob> jobs;
  for (const char* name : {"d", "a", "c", "b"}) jobs.push_back(job(name, 1000, 0.01, 1));
  jobs.push_back(job("first", 1000, 0.01));
  const auto result = run({.policy = "fifo", .slots = 1, .move_cost = {}}, jobs);
  for (std::size_t i = 0; i + 1 < 4; ++i) EXPECT_LT(*result.jobs[i].completed, *result.jobs[i + 1].completed) << jobs[i].name;
  EXPECT_LT(*result.jobs[4].completed, *result.jobs[0].completed);
}

TEST(Track, ReportsHowStaleItsStepsWereInTheMean) {
  SimJob one = job("one", 3000, 0.01);
  one.staleness = 4, one.penalty = 0.25;
  const SimOptions options{.slots = 4, .move_cost = {}};
  SeededRng rng(1);
  Track track(one, options, Instant{});
  const auto after = [&](double seconds, std::uint32_t slots) {
    track.set_slots(slots);
    track.advance(Instant{from_seconds(seconds).ns});
  };
  after(1, 1);
  EXPECT_EQ(track.report(rng)->staleness_mean, 0);
  after(2, 3);
  EXPECT_NEAR(track.report(rng)->staleness_mean, 8, 1e-9);
  after(3, 1);
  after(4, 2);
  EXPECT_NEAR(track.report(rng)->staleness_mean, 200 * 4 / 300.0, 1e-9);
  EXPECT_NEAR(track.step(), 100 + 300 + 100 + 200, 1e-9);
  EXPECT_NEAR(track.place(), 100 + 300 / 3.0 + 100 + 200 / 2.0, 1e-9);
  after(4.0095, 2);  // a step and nine tenths: the report is of the one, and as stale as both are
  EXPECT_NEAR(track.report(rng)->staleness_mean, 4, 1e-9);
  after(4.0105, 2);
  EXPECT_NEAR(track.report(rng)->staleness_mean, 4, 1e-9);
}

TEST(Simulation, WhatCannotBeSimulatedIsSaid) {
  EXPECT_EQ(simulate({.policy = "slack"}, {}).error().code, Errc::kBadConfig);
  EXPECT_EQ(simulate({.predictor = "none"}, {}).error().code, Errc::kBadConfig);
  EXPECT_EQ(simulate({.slots = 0}, {}).error().code, Errc::kBadConfig);
  EXPECT_FALSE(simulate({}, {job("a", 0, 1)}));
  EXPECT_FALSE(simulate({}, {job("a", 5, 0)}));
  EXPECT_FALSE(simulate({}, {job("a", 5, 1), job("a", 5, 1)})) << "two jobs of a name";
  SimJob fresher_than_fresh = job("a", 5, 1);
  fresher_than_fresh.staleness = -1;
  EXPECT_FALSE(simulate({}, {fresher_than_fresh}));
  EXPECT_TRUE(simulate({}, {}));
}

}  // namespace
}  // namespace sluice::sim
