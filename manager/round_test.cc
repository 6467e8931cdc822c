#include "manager/round.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>

#include "base/rng.h"
#include "manager/quality.h"
#include "manager/view_json.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

/// Jobs that learn 1/(1 + step/τ) and report twice a round while they have slots: rounds alone, without network and files.
class RoundTest : public testing::Test {
 protected:
  void make(const std::string& policy, std::uint64_t count, std::uint32_t slots, RoundOptions options = {}) {
    table = std::make_unique<JobTable>(**predictors.find("slaq"));
    fleet = Fleet{};
    fleet.add(WorkerId{1}, "w1", slots);
    rounds = std::make_unique<Rounds>(options, (**builtin_policies().find(policy))(), *table, fleet);
    std::vector<proto::JobSpec> specs(count);
    for (std::uint64_t j = 0; j < count; ++j) specs[j].name = fmt::format("job-{}", j + 1);
    ids = *table->submit(std::move(specs), now);
    steps.assign(count, 0);
  }
  void learn(std::size_t j, std::uint64_t more) {
    steps[j] += more;
    proto::JobReport r;
    r.job = ids[j];
    r.generation = 1;
    r.step = steps[j];
    r.examples = r.step * 10;
    r.examples_total = 100'000'000;
    r.window_steps = more;
    r.window_examples = more * 10;
    r.loss_sum = static_cast<double>(r.window_examples) * (0.1 + 2 / (1 + static_cast<double>(r.step) / (100.0 * static_cast<double>(j + 1)))) *
                 (1 + 0.01 * rng.uniform());
    r.loss_squares = r.loss_sum;
    r.seconds = (now - Instant{}).seconds();
    r.slot_seconds = static_cast<double>(r.step) / 1000;
    (void)table->report(r, now);
  }
  RoundResult round(const std::string& trigger = "timer") {
    for (int half = 0; half < 2; ++half) {
      now = now + from_ms(250);
      for (std::size_t j = 0; j < ids.size(); ++j)
        if (const std::uint32_t slots = table->find(ids[j])->slots; slots > 0) learn(j, 250 * slots);
    }
    return rounds->run(now, Term{1}, trigger);
  }

  PredictorRegistry predictors = builtin_predictors();
  SeededRng rng{5};
  Instant now{1'000'000'000};
  std::unique_ptr<JobTable> table;
  Fleet fleet;
  std::unique_ptr<Rounds> rounds;
  std::vector<JobId> ids;
  std::vector<std::uint64_t> steps;
};

/// Whatever is reported, it expects no more.
class FlatPredictor final : public Predictor {
 public:
  void observe(const LossPoint& point) override { loss_ = point.loss, ++seen_; }
  int refit() override { return 0; }
  [[nodiscard]] Forecast after(double) const override { return {loss_, 0}; }
  [[nodiscard]] double floor() const override { return loss_; }
  [[nodiscard]] bool ready() const override { return seen_ >= 2; }
  std::size_t bytes() const override { return sizeof(*this); }

 private:
  double loss_ = 0;
  int seen_ = 0;
};

TEST_F(RoundTest, WhatFallsIsForecastToGoOnAsOneOverTheStepsAtLeast) {
  table = std::make_unique<JobTable>([] { return std::make_unique<FlatPredictor>(); });
  std::vector<proto::JobSpec> specs(1);
  specs[0].name = "falls";
  ids = *table->submit(std::move(specs), now);
  for (std::uint64_t step = 100; step <= 1000; step += 100) {
    proto::JobReport r;
    r.job = ids[0];
    r.generation = 1;
    r.step = r.examples = step;
    r.examples_total = 1'000'000;
    r.window_steps = r.window_examples = 100;
    r.loss_sum = r.loss_squares = 100 * (10 - 1e-3 * static_cast<double>(step));
    r.seconds = r.slot_seconds = static_cast<double>(step) / 1000;
    (void)table->report(r, now);
  }
  const JobView view = view_of(*table->find(ids[0]), RoundOptions{}, 1, {});
  ASSERT_EQ(view.forecast.size(), 2U);
  for (const ForecastKnot& knot : view.forecast) {
    const double fall = expected_fall(table->find(ids[0])->curve.points(), knot.steps);
    EXPECT_NEAR(knot.drop, fall, 1e-5 * fall) << "but for what is rounded off";
  }
  EXPECT_GT(view.forecast[0].drop, 0) << "the predictor expects nothing";
  EXPECT_GT(view.forecast[1].drop, view.forecast[0].drop);
}

TEST_F(RoundTest, NearItsEndAJobUsesFewerSlotsUnlessItIsInStep) {
  table = std::make_unique<JobTable>([] { return std::make_unique<FlatPredictor>(); });
  std::vector<proto::JobSpec> specs(3);
  specs[0].name = "asp", specs[1].name = "bsp", specs[2].name = "local";
  specs[1].consistency.mode = proto::ConsistencyMode::kBsp;
  specs[2].consistency.local_steps = 4;
  ids = *table->submit(std::move(specs), now);
  for (const JobId id : ids) {
    proto::JobReport r;
    r.job = id;
    r.generation = 1;
    r.step = 100;
    r.examples = 128 * 100;
    r.examples_total = 128 * 108;
    r.window_steps = 100, r.window_examples = 12'800, r.loss_sum = r.loss_squares = 12'800, r.seconds = r.slot_seconds = 1;
    (void)table->report(r, now);
  }
  const auto usable = [&](std::size_t at) { return view_of(*table->find(ids[at]), RoundOptions{}, 16, {}).usable; };
  EXPECT_EQ(usable(0), 8U);
  EXPECT_GT(usable(1), 8U) << "a slot that leaves changes what the job computes";
  EXPECT_EQ(usable(2), 2U) << "steps of four batches";
}

TEST_F(RoundTest, ARoundThatChangesNothingIsNoDecision) {
  make("fair", 1, 2);
  const RoundResult first = round();
  EXPECT_EQ(first.decision, DecisionId{1});
  EXPECT_EQ(first.changes.size(), 2U);
  EXPECT_EQ(table->find(ids[0])->state, JobState::kRunning);
  const RoundResult second = round();
  EXPECT_EQ(second.decision, DecisionId{});
  EXPECT_TRUE(second.line.is_null());
  EXPECT_EQ(table->find(ids[0])->moves_in, 2U);
}

TEST_F(RoundTest, ALostWorkersAndAnEndedJobsSlotsHaveTheirEntries) {
  make("fair", 2, 2);
  (void)round();
  fleet.add(WorkerId{2}, "w2", 1);
  (void)round("membership");
  rounds->lost("w1", fleet.remove(WorkerId{1}));
  const RoundResult lost = round("membership");
  ASSERT_FALSE(lost.line.is_null());
  std::size_t gone = 0;
  for (const json& move : lost.line["moves"]) gone += move.value("lost", false) ? 1 : 0;
  EXPECT_EQ(gone, 2U);
  for (const json& e : lost.line["changes"])
    if (e["before"] > e["after"]) { EXPECT_EQ(e["reason"], "worker_lost") << e; }
  const JobId holder = fleet.workers().at(WorkerId{2}).slots[0];
  ASSERT_TRUE(table->fail(holder, Errc::kJobFailed, "its own words", now));
  const RoundResult ended = round("job");
  ASSERT_EQ(ended.line["changes"].size(), 2U);
  for (const json& e : ended.line["changes"])
    if (e["id"] == holder.value) {
      EXPECT_EQ(e["reason"], "ended");
      EXPECT_EQ(e["sentence"], "failed: its own words");
      EXPECT_EQ(e["after"], 0);
    }
}

TEST_F(RoundTest, WhileHeldNobodyIsGrantedAnything) {
  make("slaq", 3, 2);
  rounds->hold(true);
  EXPECT_EQ(round().decision, DecisionId{});
  rounds->hold(false);
  EXPECT_EQ(round().changes.size(), 2U);
}

TEST_F(RoundTest, TheOutcomeSetsThePredictedBesideTheActualDrop) {
  make("slaq", 4, 2);
  std::size_t outcomes = 0;
  double predicted = 0, actual = 0, done = 0, said = 0;
  for (int i = 0; i < 40; ++i) {
    (void)round();
    for (json line = rounds->outcome(now); !line.is_null(); line = rounds->outcome(now)) {
      ++outcomes;
      for (const json& j : line["jobs"]) {
        predicted += j["predicted_drop"].get<double>(), actual += j["actual_drop"].get<double>();
        done += j["steps"].get<double>(), said += j["predicted_steps"].get<double>();
      }
    }
  }
  EXPECT_GT(outcomes, 5U);
  EXPECT_GT(predicted, 0);
  EXPECT_NEAR(said / done, 1, 0.1);
  EXPECT_NEAR(predicted / actual, 1, 0.5);
}

TEST_F(RoundTest, ViewsGoThroughJsonAndPatchesUnchanged) {
  make("slaq", 5, 3);
  json recorded = to_json(ClusterView{});
  ClusterView before;
  for (int i = 0; i < 30; ++i) {
    if (i == 10) { ASSERT_TRUE(table->finish(ids[0], "done", now)); }
    if (i == 20) fleet.add(WorkerId{9}, "w9", 1);
    (void)round();
    const json view = to_json(rounds->view());
    recorded.merge_patch(patch_between(before, rounds->view()));
    before = rounds->view();
    EXPECT_EQ(recorded, view);
    const auto back = view_from_json(json::parse(view.dump()));
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(*back, rounds->view());
  }
  EXPECT_FALSE(view_from_json(json::object()));
  EXPECT_FALSE(view_from_json(json::parse(R"({"now_ns":1,"elapsed_ns":1,"round_ns":1,"quantum_min_ns":1,"hosts":{"x":{}},"jobs":{}})")));
}

TEST(RecordedView, ForecastsAreShortAndThoseOfBeforeAreRead) {
  const std::vector<std::vector<ForecastKnot>> forecasts = {
      {}, {{3, 0.5, 0.1}}, {{0.1, 0.5, 0.1}, {0.2, 0.75, 0.2}, {0.4, 1, 0.2}}, {{3, 0.5, 0.1}, {7, 0.75, 0.2}}};
  ClusterView view;
  for (const auto& forecast : forecasts) {
    JobView& job = view.jobs.emplace_back();
    job.id = JobId{view.jobs.size()};
    job.forecast = forecast;
  }
  json recorded = json::parse(to_json(view).dump());
  EXPECT_EQ(recorded["jobs"]["3"]["forecast"].dump(), "[0.1,0.5,0.1,0.75,0.2,1.0,0.2]");
  EXPECT_EQ(*view_from_json(recorded), view);
  for (std::size_t i = 0; i < forecasts.size(); ++i) {
    json& before = recorded["jobs"][std::to_string(i + 1)]["forecast"] = json::array();
    for (const ForecastKnot& k : forecasts[i]) before.push_back({k.steps, k.drop, k.deviation});
  }
  EXPECT_EQ(*view_from_json(recorded), view);
  recorded["jobs"]["1"]["forecast"] = {1, 2};
  EXPECT_FALSE(view_from_json(recorded)) << "a drop without its deviation";
}

TEST_F(RoundTest, TheCostOfAMoveMakesTheQuantumLonger) {
  make("fair", 4, 2);
  for (const JobId id : ids) rounds->moved(id, from_ms(100));  // 20 × 100 ms: four rounds
  std::vector<int> changed;
  for (int i = 0; i < 13; ++i)
    if (round().decision != DecisionId{}) changed.push_back(i);
  EXPECT_EQ(changed, (std::vector<int>{0, 4, 8, 12}));
  rounds->moved(ids[0], from_seconds(60));
  EXPECT_LE(table->find(ids[0])->move_cost, from_ms(200)) << "one outlier";
}

TEST_F(RoundTest, TheFirstMeasuredMoveOfAJobIsBoundedByWhatMovesUsuallyCost) {
  make("slaq", 4, 2);
  for (std::size_t i = 1; i < 4; ++i)
    for (int n = 0; n < 3; ++n) rounds->moved(ids[i], from_ms(2));
  rounds->moved(ids[0], from_ms(450));
  (void)round();
  EXPECT_LE(rounds->view().jobs[0].move_cost, from_ms(20));
  EXPECT_EQ(rounds->view().jobs[1].move_cost, from_ms(2));
  for (int n = 0; n < 9; ++n) rounds->moved(ids[0], from_ms(450));
  (void)round();
  EXPECT_GE(rounds->view().jobs[0].move_cost, from_ms(200)) << "measured again and again, it is believed";
}

TEST_F(RoundTest, AViewSaysHowLongAJobHasWaited) {
  make("fair", 2, 1);
  (void)round();
  (void)round();
  const auto& jobs = rounds->view().jobs;
  EXPECT_EQ(waited(rounds->view(), jobs[0]) + waited(rounds->view(), jobs[1]), from_ms(1000)) << "one held the slot; the other waits since its submission";
}

TEST_F(RoundTest, RefitsAreSpreadOverRoundsWhenManyJobsReportAtOnce) {
  RoundOptions options;
  options.refit_iterations_max = 200;
  make("fair", 300, 1, options);
  for (int report = 0; report < 2; ++report)
    for (std::size_t j = 0; j < ids.size(); ++j) learn(j, 100);
  int refits = 0, rounds_needed = 0;
  while (refits < 299 && rounds_needed < 200) {
    const int now_refits = round().refits;
    EXPECT_LT(now_refits, 200);
    refits += now_refits;
    ++rounds_needed;
  }
  EXPECT_GE(refits, 299);
  EXPECT_GT(rounds_needed, 3);
}

TEST_F(RoundTest, AFitThatComesRoundsAfterItsReportReachesTheView) {
  RoundOptions options;
  options.refit_iterations_max = 1;  // a job a round
  make("slaq", 8, 1, options);
  for (int report = 0; report < 5; ++report)
    for (std::size_t j = 0; j < ids.size(); ++j) learn(j, 100);
  for (int i = 0; i < 40; ++i) {
    now = now + from_ms(500);
    (void)rounds->run(now, Term{1}, "timer");  // nothing is reported any more
  }
  for (const JobView& view : rounds->view().jobs) {
    EXPECT_EQ(view.forecast, view_of(*table->find(view.id), options, 1, {}).forecast) << view.name;
    EXPECT_FALSE(view.forecast.empty()) << view.name;
  }
}

}  // namespace
}  // namespace sluice::manager
