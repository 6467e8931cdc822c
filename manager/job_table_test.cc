#include "manager/job_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/rng.h"
#include "manager/view_keeper.h"

namespace sluice::manager {
namespace {

proto::JobSpec spec(const std::string& name) {
  proto::JobSpec out;
  out.name = name;
  out.model = "softmax";
  out.data = {.name = "data", .format = "libsvm", .train = {"/data/train"}, .test = {}};
  return out;
}

class JobTableTest : public testing::Test {
 protected:
  MakePredictor make = **builtin_predictors().find("slaq");
  JobTable table{make};
  Instant now{1'000'000'000};
  JobId id{};

  void SetUp() override { id = (*table.submit({spec("a")}, now))[0]; }
  /// A plausible report after `steps` more steps of 10 examples with this mean loss.
  proto::JobReport next(double loss, std::uint64_t steps = 10) {
    now = now + from_ms(250);
    step_ += steps;
    proto::JobReport r;
    r.job = id;
    r.generation = 1;
    r.step = step_;
    r.examples = step_ * 10;
    r.examples_total = 1'000'000;
    r.window_steps = steps;
    r.window_examples = steps * 10;
    r.loss_sum = loss * static_cast<double>(r.window_examples);
    r.loss_squares = loss * r.loss_sum;
    r.seconds = (now - Instant{1'000'000'000}).seconds();
    r.slot_seconds = r.seconds / 2;
    return r;
  }
  const Job& job() { return *table.find(id); }

 private:
  std::uint64_t step_ = 0;
};

TEST_F(JobTableTest, AWindowInWhichTheJobHadNoSlotsForAWhileSaysNothingOfContention) {
  // Eight slots work as 8 / (1 + .05 × 7) ones; in every second window they did for half of the time. Taken for four slots at the same slot-seconds a step,
  // contention would seem to be 0.
  double slot_seconds = 0;
  table.find(id)->slots = 8;
  for (int i = 0; i < 40; ++i) {
    const double worked = i % 2 == 0 ? 0.25 : 0.125;
    slot_seconds += 8 * worked;
    proto::JobReport r = next(2.0 / (i + 1), static_cast<std::uint64_t>(std::lround(worked * 8000 / 1.35)));
    r.slot_seconds = slot_seconds;
    (void)table.report(r, now);
  }
  table.find(id)->slots = 2;
  for (int i = 0; i < 10; ++i) {
    slot_seconds += 2 * 0.25;
    proto::JobReport r = next(0.05, static_cast<std::uint64_t>(std::lround(0.25 * 2000 / 1.05)));
    r.slot_seconds = slot_seconds;
    (void)table.report(r, now);
  }
  EXPECT_NEAR(job().rates.evidence().kappa, 0.05, 0.01);
}

/// With fewer slots than jobs a slot that takes turns is in no window from its beginning to its end.
TEST_F(JobTableTest, OfWindowsThatAJobHadASlotForAPartOfItTellsHowFastTheMachineIsNow) {
  double slot_seconds = 0;
  const auto run = [&](int reports, double worked, double rate) {
    for (int i = 0; i < reports; ++i) {
      slot_seconds += worked;
      proto::JobReport r = next(2.0, static_cast<std::uint64_t>(std::lround(worked * rate)));
      r.slot_seconds = slot_seconds;
      (void)table.report(r, now);
    }
  };
  table.find(id)->slots = 1;
  run(10, 0.25, 1000);
  EXPECT_NEAR(job().rates.speed_up().alone, 1000, 10);
  for (int turn = 0; turn < 20; ++turn) {
    table.find(id)->slots = turn % 2 == 0 ? 1 : 0;
    run(1, 0.1, 500);
  }
  EXPECT_NEAR(job().rates.speed_up().alone, 500, 100);
}

TEST_F(JobTableTest, RungsRememberTheLossWhenTheyWerePassed) {
  (void)table.report(next(2.0, 1), now);
  EXPECT_TRUE(job().rungs.empty());
  for (int i = 0; i < 12; ++i) (void)table.report(next(1.0, 100), now);  // of 7813 declared steps: rungs at 289, 868 and 2604
  EXPECT_EQ(job().rungs.size(), 2U);
  EXPECT_NEAR(job().rungs[1], 1.0, 1e-2);
}

/// The first report after a move is often of one batch.
TEST(JobTable, AReportOfFewExamplesIsHeardByThePredictorTogetherWithTheNext) {
  struct Hearing final : Predictor {
    std::vector<LossPoint>& heard;
    explicit Hearing(std::vector<LossPoint>& out) : heard(out) {}
    void observe(const LossPoint& point) override { heard.push_back(point); }
    int refit() override { return 0; }
    Forecast after(double) const override { return {}; }
    double floor() const override { return 0; }
    bool ready() const override { return false; }
    std::size_t bytes() const override { return 0; }
  };
  std::vector<LossPoint> heard;
  JobTable table([&] { return std::make_unique<Hearing>(heard); });
  proto::JobReport r;
  r.job = (*table.submit({spec("a")}, Instant{}))[0];
  r.generation = 1;
  double seconds = 0;
  const auto say = [&](double loss, std::uint64_t steps) {
    r.step += steps, r.examples = 10 * r.step, r.examples_total = 1'000'000, r.window_steps = steps, r.window_examples = 10 * steps;
    r.loss_sum = loss * static_cast<double>(r.window_examples), r.loss_squares = loss * r.loss_sum;
    r.seconds = seconds += 0.25, r.slot_seconds = seconds;
    (void)table.report(r, Instant{from_seconds(seconds).ns});
  };
  for (const std::uint64_t steps : {1, 3, 12, 48, 100, 100}) say(1, steps);
  EXPECT_EQ(heard.size(), 6U) << "the early reports grow";
  say(0.2, 1);
  EXPECT_EQ(heard.size(), 6U);
  EXPECT_NEAR(table.find(r.job)->loss, 1, 0.02) << "nor does one batch say where the loss is";
  EXPECT_EQ(table.find(r.job)->step, 265U) << "what it has done is known all the same";
  say(0.6, 99);
  ASSERT_EQ(heard.size(), 7U);
  EXPECT_EQ(heard.back().step, 364U);
  EXPECT_EQ(heard.back().weight, 1000U);
  EXPECT_NEAR(heard.back().loss, (0.2 + 99 * 0.6) / 100, 1e-12);
}

/// A planted job whose loss falls by a thousandth a step, as its predictor knows; what that was told last is all that it hears of where the job stands.
struct Planted final : Predictor {
  std::uint64_t heard = 0, count = 0;
  void observe(const LossPoint& point) override { heard = point.step, ++count; }
  int refit() override { return 0; }
  Forecast after(double steps) const override { return {10 - (static_cast<double>(heard) + steps) / 1000, 0.1}; }
  double floor() const override { return 0; }
  bool ready() const override { return count >= 2; }
  std::size_t bytes() const override { return 0; }
};
struct PlantedJob {
  JobTable table{[] { return std::make_unique<Planted>(); }};
  proto::JobReport r;
  PlantedJob() {
    r.job = (*table.submit({spec("a")}, Instant{}))[0];
    r.generation = 1;
    for (int i = 0; i < 5; ++i) say(100, 0);
  }
  void say(std::uint64_t steps, double staleness, double loss = 10) {
    r.step += steps, r.examples = 10 * r.step, r.examples_total = 1'000'000, r.window_steps = steps, r.window_examples = 10 * steps;
    r.loss_sum = loss * static_cast<double>(r.window_examples), r.loss_squares = loss * r.loss_sum;
    r.seconds += 0.25, r.slot_seconds = r.seconds, r.staleness_mean = staleness;
    (void)table.report(r, Instant{from_seconds(r.seconds).ns});
  }
  const Job& job() { return *table.find(r.job); }
};

TEST(JobTable, WhatIsForetoldIsFromWhereTheJobStandsThoughItsPredictorHasNotHeardAll) {
  PlantedJob on;
  EXPECT_EQ(on.job().told, 5U);
  EXPECT_DOUBLE_EQ(on.job().after(20).mean, 10 - 0.52);
  on.say(5, 0);
  ASSERT_EQ(on.job().reports, 6U);
  EXPECT_EQ(on.job().told, 5U) << "too few to be heard alone";
  EXPECT_DOUBLE_EQ(on.job().after(20).mean, 10 - 0.525);
  // So it is in a policy's view.
  Fleet fleet;
  fleet.add(WorkerId{1}, "w1", 8);
  ViewKeeper keeper(RoundOptions{}, on.table, fleet);
  keeper.look(Instant{from_seconds(on.r.seconds).ns}, false, nullptr);
  const JobView& view = keeper.view().jobs.at(0);
  EXPECT_EQ(view.reports, 5U);
  EXPECT_NEAR(view.level, 10 - 0.505, 1e-3);
  ASSERT_GT(view.total_steps, 1000);
  EXPECT_NEAR(view.end_loss, 10 - view.total_steps / 1000, 1e-9);
  ASSERT_GT(view.forecast.size(), 3U);
  for (const ForecastKnot& knot : view.forecast) EXPECT_NEAR(knot.drop, knot.steps / 1000, 1e-3 * knot.drop);
  on.say(95, 0);
  EXPECT_EQ(on.job().told, 6U);
  EXPECT_DOUBLE_EQ(on.job().after(20).mean, 10 - 0.62);
}

TEST(JobTable, ReportsThatAreHeardTogetherAreAsStaleAsTheyAreInTheMean) {
  PlantedJob apart, together;
  apart.say(5, 41, 9.7), apart.say(95, 1, 9.7);
  together.say(100, 3, 9.7);
  ASSERT_EQ(apart.job().told, together.job().told);
  EXPECT_NE(together.job().rates.speed_up().penalty, PlantedJob().job().rates.speed_up().penalty) << "it taught nothing: then this shows nothing";
  EXPECT_NEAR(apart.job().rates.speed_up().penalty, together.job().rates.speed_up().penalty, 1e-9);
}

TEST_F(JobTableTest, ReportsMakeTheCurveTheTotalsAndTheRate) {
  EXPECT_EQ(job().phase(), JobPhase::kWarmingUp);
  EXPECT_EQ(job().normalized_loss(), 1);
  EXPECT_EQ(table.report(next(2.0), now), News::kLoss);
  EXPECT_EQ(table.report(next(1.0), now), News::kPhase) << "something can be foretold";
  EXPECT_EQ(job().phase(), JobPhase::kTraining);
  EXPECT_EQ(job().first_loss, 2.0);
  EXPECT_EQ(job().loss, 1.5);  // smoothed by halves
  EXPECT_EQ(job().largest_drop, 1.0);
  EXPECT_EQ(job().step, 20U);
  EXPECT_EQ(job().examples, 200U);
  EXPECT_NEAR(job().steps_per_slot_second, 80, 1e-9);
  EXPECT_NEAR(job().steps_per_s, 40, 1e-9);
  EXPECT_EQ(job().curve.points().size(), 2U);
  EXPECT_NEAR(job().curve.last().seconds, 0.5, 1e-9);
}

TEST_F(JobTableTest, ARepeatedOrOlderReportChangesNothing) {
  const auto first = next(2.0);
  const auto second = next(1.0);
  EXPECT_EQ(table.report(second, now), News::kLoss);
  EXPECT_EQ(table.report(second, now), News::kNone);
  EXPECT_EQ(table.report(first, now), News::kNone);
  EXPECT_EQ(job().reports, 1U);
  EXPECT_EQ(job().step, 20U);
}

TEST_F(JobTableTest, ImpossibleNumbersMarkTheJobAndNeverEnterItsCurve) {
  (void)table.report(next(2.0), now);
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const std::vector<std::function<void(proto::JobReport&)>> lies = {
      [&](auto& r) { r.loss_sum = nan; },      [&](auto& r) { r.loss_squares = inf; },   [&](auto& r) { r.seconds = -1; },
      [&](auto& r) { r.slot_seconds = -0.1; }, [&](auto& r) { r.staleness_mean = nan; }, [&](auto& r) { r.window_examples = r.examples + 1; }};
  for (const auto& lie : lies) {
    auto r = next(1.9);
    lie(r);
    (void)table.report(r, now);
    EXPECT_EQ(job().phase(), JobPhase::kDiverging);
    EXPECT_FALSE(job().reason.empty());
    EXPECT_EQ(job().state, JobState::kWaiting) << "never ended for its reports";
    EXPECT_EQ(table.report(next(1.8), now), News::kPhase) << "a good report makes it well again";
    EXPECT_EQ(job().phase(), JobPhase::kTraining);
  }
  for (const LossPoint& p : job().curve.points()) EXPECT_TRUE(p.loss == 2.0 || p.loss == 1.8);
}

TEST_F(JobTableTest, ALossThatJumpsByOrdersOfMagnitudeDivergesButItsTotalsCount) {
  (void)table.report(next(2.0), now);
  (void)table.report(next(1.9), now);
  EXPECT_EQ(table.report(next(150), now), News::kLoss) << "worse, but no nonsense";
  EXPECT_EQ(table.report(next(1e5), now), News::kPhase);
  EXPECT_EQ(job().phase(), JobPhase::kDiverging);
  EXPECT_EQ(job().step, 40U);
  EXPECT_NE(job().reason.find("1e+05"), std::string::npos);
  auto last = next(1e6);
  last.state = proto::HomeState::kFinished;
  EXPECT_EQ(table.report(last, now), News::kFinished) << "a diverged job ends too";
  EXPECT_EQ(job().state, JobState::kDone);
}

TEST_F(JobTableTest, AFlatCurveIsAPlateauUntilItFallsAgain) {
  (void)table.report(next(2.0), now);
  for (int i = 0; i < 40; ++i) (void)table.report(next(1.0), now);
  EXPECT_EQ(job().phase(), JobPhase::kPlateau);
  for (int i = 0; i < 12; ++i) (void)table.report(next(0.9 - 0.05 * i), now);
  EXPECT_EQ(job().phase(), JobPhase::kTraining);
}

TEST_F(JobTableTest, ALongJobThatFallsSlowlyIsOnNoPlateau) {
  // Twelve reports, three seconds, are a tenth of a percent of its life, and so much of its range.
  for (int i = 0; i < 12'000; ++i) {
    (void)table.report(next(2.0 - 1e-4 * i), now);
    ASSERT_NE(job().phase(), JobPhase::kPlateau) << i;
  }
  for (int i = 0; i < 2000; ++i) (void)table.report(next(0.8), now);
  EXPECT_EQ(job().phase(), JobPhase::kPlateau);
}

TEST_F(JobTableTest, AJobThatItsHomeEndedEarlySaysWhy) {
  auto r = next(1.0);
  r.state = proto::HomeState::kFinished;
  r.ended = "stopped early: enough";
  EXPECT_EQ(table.report(r, now), News::kFinished);
  EXPECT_EQ(job().state, JobState::kDone);
  EXPECT_EQ(job().reason, "stopped early: enough");
}

TEST_F(JobTableTest, ItsHomesStateDecidesWhenItEvaluatesAndEnds) {
  (void)table.report(next(2.0), now);
  auto r = next(1.0);
  r.state = proto::HomeState::kEvaluating;
  EXPECT_EQ(table.report(r, now), News::kEvaluating);
  EXPECT_EQ(job().phase(), JobPhase::kEvaluating);
  r.state = proto::HomeState::kFinished;
  r.evaluated = 100;
  r.metric = 0.8;
  r.metric_name = "accuracy";
  EXPECT_EQ(table.report(r, now), News::kFinished) << "no new step is needed";
  EXPECT_EQ(job().state, JobState::kDone);
  EXPECT_EQ(job().metric, 0.8);
  EXPECT_EQ(job().reason, "epochs reached");
  EXPECT_TRUE(table.live().empty());
  EXPECT_FALSE(table.fail(id, Errc::kJobFailed, "late", now));
  EXPECT_EQ(table.report(next(0.5), now), News::kNone);
}

TEST_F(JobTableTest, NamesAreUniqueAmongLiveJobsAndIdsForEver) {
  EXPECT_EQ(table.submit({spec("b"), spec("a")}, now).error().code, Errc::kBadConfig);
  EXPECT_EQ(table.submit({spec("b"), spec("b")}, now).error().code, Errc::kBadConfig);
  EXPECT_EQ(table.all().size(), 1U) << "all or none";
  EXPECT_TRUE(table.fail(id, Errc::kJobFailed, "words", now));
  const auto again = table.submit({spec("a")}, now);
  ASSERT_TRUE(again);
  EXPECT_GT((*again)[0], id);
  EXPECT_EQ(table.find(std::string_view("a"))->id, (*again)[0]);
}

TEST_F(JobTableTest, APausedJobGoesOnAsWhatItWas) {
  table.started(id);
  (void)table.report(next(2.0), now);
  EXPECT_FALSE(table.resume(id)) << "it is not paused";
  ASSERT_TRUE(table.pause(id));
  EXPECT_FALSE(table.pause(id));
  EXPECT_EQ(job().state, JobState::kPaused);
  EXPECT_FALSE(job().ended());
  EXPECT_TRUE(table.live().contains(id));
  EXPECT_EQ(table.report(next(1.0), now), News::kPhase) << "its last batch may come late";
  EXPECT_EQ(job().reports, 2U);
  ASSERT_TRUE(table.resume(id));
  EXPECT_EQ(job().state, JobState::kRunning);
  ASSERT_TRUE(table.pause(id));
  auto r = next(0.9);
  r.state = proto::HomeState::kEvaluating;
  EXPECT_EQ(table.report(r, now), News::kEvaluating);
  EXPECT_EQ(table.report(r, now), News::kNone) << "said once";
  EXPECT_EQ(job().state, JobState::kPaused);
  EXPECT_EQ(job().phase(), JobPhase::kEvaluating);
  ASSERT_TRUE(table.resume(id));
  EXPECT_EQ(job().state, JobState::kEvaluating);
  ASSERT_TRUE(table.pause(id));
  r.state = proto::HomeState::kFinished;
  EXPECT_EQ(table.report(r, now), News::kFinished);
  EXPECT_EQ(job().state, JobState::kDone);
  EXPECT_FALSE(table.pause(id));
}

TEST_F(JobTableTest, ACancelledJobHasEndedAndItsNameIsFree) {
  ASSERT_TRUE(table.pause(id));
  ASSERT_TRUE(table.cancel(id, now + from_ms(2000)));
  EXPECT_EQ(job().state, JobState::kCancelled);
  EXPECT_TRUE(job().ended());
  EXPECT_EQ(job().ended_seconds, 2);
  EXPECT_TRUE(table.live().empty());
  EXPECT_FALSE(table.cancel(id, now));
  EXPECT_FALSE(table.pause(id));
  EXPECT_FALSE(table.resume(id));
  EXPECT_FALSE(table.set(id, {7, 0, 1}));
  EXPECT_FALSE(table.fail(id, Errc::kJobFailed, "late", now));
  EXPECT_EQ(table.report(next(1.0), now), News::kNone);
  EXPECT_TRUE(table.submit({spec("a")}, now));
}

TEST_F(JobTableTest, WhatWasOrderedIsStored) {
  const JobId cancelled = (*table.submit({spec("b")}, now))[0];
  (void)table.take_dirty();
  ASSERT_TRUE(table.cancel(cancelled, now));
  ASSERT_TRUE(table.pause(id));
  EXPECT_EQ(table.take_dirty(), (std::set<JobId>{id, cancelled}));
  ASSERT_TRUE(table.set(id, {2.5, 1, 3}));
  EXPECT_FALSE(table.set(id, {2.5, 1, 3})) << "nothing new";
  EXPECT_TRUE(table.dirty());
  EXPECT_EQ(job().spec_json, proto::to_json(spec("a"))) << "what servers and workers were told of it stays";
  JobTable later(make);
  for (const JobId each : {id, cancelled}) ASSERT_TRUE(later.restore(JobTable::stored(*table.find(each), {now}), {Instant{5}}));
  EXPECT_EQ(later.find(id)->state, JobState::kPaused);
  EXPECT_EQ(later.find(id)->live_values(), (LiveValues{2.5, 1, 3}));
  EXPECT_EQ(later.find(cancelled)->state, JobState::kCancelled);
  EXPECT_EQ(later.live(), std::set<JobId>{id});
  ASSERT_TRUE(later.resume(id));
  EXPECT_EQ(later.find(id)->state, JobState::kWaiting);
}

TEST_F(JobTableTest, AnotherGenerationsReportIsIgnored) {
  auto r = next(2.0);
  r.generation = 2;
  EXPECT_EQ(table.report(r, now), News::kNone);
  EXPECT_EQ(job().reports, 0U);
}

TEST_F(JobTableTest, AStoredJobsGroupKnowsWhatItReached) {
  proto::JobSpec member = spec("b");
  member.group = "g";
  const JobId done = (*table.submit({member}, now))[0];
  proto::JobReport report = next(0.5);
  report.job = done;
  (void)table.report(report, now);
  ASSERT_TRUE(table.finish(done, "done", now));
  JobTable later(make);
  ASSERT_TRUE(later.restore(JobTable::stored(*table.find(done), {now}), {Instant{5}}));
  EXPECT_EQ(later.group_best("g"), 0.5);
}

TEST_F(JobTableTest, OfAGroupThatLivesOnlyTheEndedOneThatCameLowestIsKept) {
  std::vector<proto::JobSpec> specs;
  for (const char* name : {"b", "c", "d"}) specs.push_back(spec(name)), specs.back().group = "g";
  const std::vector<JobId> ids = *table.submit(specs, now);
  const auto end = [&](JobId member, double loss) {
    proto::JobReport report = next(loss);
    report.job = member;
    (void)table.report(report, now);
    ASSERT_TRUE(table.finish(member, "done", now));
    (void)table.take_touched();
  };
  end(ids[0], 0.7);
  EXPECT_TRUE(table.beyond(0).empty());
  end(ids[1], 0.5);
  EXPECT_EQ(table.beyond(0), std::vector<JobId>{ids[0]}) << "another came lower";
  table.forget(ids[0]);
  EXPECT_TRUE(table.beyond(0).empty());
  JobTable later(make);
  for (const JobId each : {ids[1], ids[2]}) ASSERT_TRUE(later.restore(JobTable::stored(*table.find(each), {now}), {Instant{5}}));
  EXPECT_EQ(later.group_best("g"), 0.5);
  EXPECT_TRUE(later.beyond(0).empty()) << "nor after a restart";
  end(ids[2], 0.6);
  EXPECT_EQ(table.beyond(0), (std::vector<JobId>{ids[1], ids[2]})) << "nobody of it lives";
  table.forget(ids[1]), table.forget(ids[2]);
  EXPECT_EQ(table.group_best("g"), 0);
}

TEST_F(JobTableTest, AStoredJobComesBack) {
  const JobId failed = (*table.submit({spec("b")}, now))[0];
  (void)table.report(next(2.0), now);
  table.started(id);
  (void)table.fail(failed, Errc::kBadData, "row 7", now);
  EXPECT_EQ(table.take_dirty(), (std::set<JobId>{id, failed}));
  JobTable later(make);
  for (const JobId each : {id, failed}) ASSERT_TRUE(later.restore(JobTable::stored(*table.find(each), {now}), {Instant{5}}));
  EXPECT_EQ(later.find(id)->state, JobState::kWaiting) << "a job that ran waits for its slots again";
  EXPECT_EQ(later.find(id)->spec, spec("a"));
  EXPECT_EQ(later.find(failed)->state, JobState::kFailed);
  EXPECT_EQ(later.find(failed)->code, Errc::kBadData);
  EXPECT_EQ(later.find(failed)->reason, "row 7");
  EXPECT_EQ(later.live(), std::set<JobId>{id});
  EXPECT_GT((*later.submit({spec("c")}, now))[0], failed) << "ids are never used again";
  for (const char* damaged : {"", "{", "[]", "{}", R"({"version":1})", R"({"version":1,"id":"x","spec":"{}"})"})
    EXPECT_FALSE(later.restore(damaged, {now})) << damaged;
}

TEST_F(JobTableTest, WhatAJobOfThousandsOfReportsCameToIsToldFromAllOfThem) {
  std::vector<LossPoint> all;
  for (int i = 0; i < 5000; ++i) {
    const auto report = next(0.3 + 2 * std::exp(-i / 100.0));
    all.push_back(
        {.step = report.step, .examples = report.examples, .seconds = (now - job().submitted).seconds(), .loss = report.loss_sum / 100, .weight = 100});
    (void)table.report(report, now);
  }
  const Outcome came = job().outcome(now);
  const double first = all.front().loss, best = best_level(all);
  EXPECT_DOUBLE_EQ(came.best_loss, best);
  ASSERT_TRUE(came.seconds_to_90);
  EXPECT_EQ(*came.seconds_to_90, seconds_to_fraction(all, first, best, 0.9));
  EXPECT_NEAR(came.loss_seconds, loss_seconds(all, first, best, all.back().seconds), 0.1);
  EXPECT_NEAR(came.final_loss, final_level(all), 1e-6);
  // And a manager that begins anew does not forget it.
  ASSERT_TRUE(table.finish(id, "done", now));
  JobTable later(make);
  ASSERT_TRUE(later.restore(JobTable::stored(job(), {now}), {Instant{5}}));
  const Outcome kept = later.find(id)->outcome(Instant{7'000'000'000});
  EXPECT_DOUBLE_EQ(kept.best_loss, came.best_loss);
  EXPECT_DOUBLE_EQ(kept.final_loss, came.final_loss);
  EXPECT_DOUBLE_EQ(kept.loss_seconds, came.loss_seconds);
  EXPECT_EQ(kept.seconds_to_90, came.seconds_to_90);
}

/// A live job is stored when it is submitted and when something is ordered of it, not as it trains.
TEST_F(JobTableTest, AJobGrowsOlderWhileTheManagerIsAwayAndSinceItWasStored) {
  const std::string record = JobTable::stored(job(), {now + from_ms(2000), 5'000'000});
  JobTable later(make);
  const Instant begins{77'000'000'000};
  ASSERT_TRUE(later.restore(record, {begins, 5'000'000 + 3'600'000}));
  EXPECT_DOUBLE_EQ(later.find(id)->seconds_since_submission(begins), 3602);
  ASSERT_TRUE(later.restore(record, {begins, 4'000'000}));
  EXPECT_DOUBLE_EQ(later.find(id)->seconds_since_submission(begins), 2) << "a clock that was set back makes nobody younger";
}

TEST_F(JobTableTest, AJobOfWhichTheBeginningWasNotHeardTeachesNothing) {
  const auto train = [&](JobTable& of) {
    for (int i = 0; i < 20; ++i) (void)of.report(next(2.0 - 0.05 * i), now);
    ASSERT_TRUE(of.finish(id, "done", now));
  };
  JobTable later(make);
  ASSERT_TRUE(later.restore(JobTable::stored(job(), {now}), {now}));
  (void)next(3.0, 1000);  // to the manager before it
  train(later);
  EXPECT_FALSE(later.take_prior_dirty()) << "its first loss is one that it came to long after it began";
  EXPECT_EQ(later.prior().remaining("softmax", 0).jobs, RemainingPrior::shipped().remaining("softmax", 0).jobs);
}

TEST(JobTable, WhatIsForetoldOfALongJobIsNotTheNoiseOfItsLastSeconds) {
  // 5,000 reports, twenty minutes of a live job, that scatter by a tenth: what the predictor says of now, and of the end.
  JobTable table(**builtin_predictors().find("ensemble"));
  Instant now{1'000'000'000};
  const JobId id = (*table.submit({spec("a")}, now))[0];
  const auto loss_at = [](double step) { return 0.3 + 2 / std::sqrt(1 + step / 200); };
  SeededRng rng(mix64(7));
  double off = 0, off_at_end = 0;
  constexpr std::uint64_t kReports = 5000, kSteps = 10, kJudged = 500;
  for (std::uint64_t i = 1; i <= kReports; ++i) {
    now = now + from_ms(250);
    proto::JobReport r;
    r.job = id, r.generation = 1, r.step = kSteps * i, r.examples = 10 * r.step, r.examples_total = 2 * 10 * kSteps * kReports;
    r.window_steps = kSteps, r.window_examples = 10 * kSteps;
    r.loss_sum = (loss_at(static_cast<double>(r.step) - kSteps / 2.0) + 0.35 * (rng.uniform() - 0.5)) * static_cast<double>(r.window_examples);
    r.loss_squares = r.loss_sum * r.loss_sum / static_cast<double>(r.window_examples);
    r.seconds = r.slot_seconds = 0.25 * static_cast<double>(i);
    (void)table.report(r, now);
    while (Job* job = table.next_to_refit()) (void)job->predictor->refit();
    if (i + kJudged <= kReports) continue;
    const Job& job = *table.find(id);
    off += std::abs(job.after(0).mean - loss_at(static_cast<double>(r.step))) / kJudged;
    off_at_end += std::abs(job.after(static_cast<double>(2 * kReports * kSteps - r.step)).mean - loss_at(2.0 * kReports * kSteps)) / kJudged;
  }
  EXPECT_LT(off, 0.035);
  EXPECT_LT(off_at_end, 0.15);
}

}  // namespace
}  // namespace sluice::manager
