#include "sim/recorded_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "sim/scenario.h"
#include "sim/study.h"

namespace sluice::sim {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class RecordedRun : public testing::Test {
 protected:
  RecordedRun() {
    std::string form = (fs::temp_directory_path() / "recorded-run-XXXXXX").string();
    folder_ = ::mkdtemp(form.data());
    write("run.json",
          R"({"version":1,"jobs":[{"name":"a","model":"mlp","group":"g","objective":"best"},{"name":"b","model":"softmax"},{"name":"idle","model":"mlp"}]})");
    write("summary.json", R"({"version":1,"jobs":[{"job":"a","steps":400,"slot_seconds":8,"submitted_seconds":0},
      {"job":"b","steps":100,"slot_seconds":4,"submitted_seconds":2.5},{"job":"idle","steps":0,"slot_seconds":0,"submitted_seconds":3}]})");
    std::string losses = "job,seconds,step,examples,loss,slots\n";
    for (int i = 0; i <= 100; ++i)
      losses += "a,0," + std::to_string(1 + 4 * i) + "," + std::to_string(4 * (i + 1)) + "," + std::to_string(1.0 - i * 0.005) + ",1\n";
    for (int i = 0; i <= 20; ++i) losses += "b,0," + std::to_string(1 + 5 * i) + "," + std::to_string(5 * (i + 1)) + "," + (i == 0 ? "2" : "1") + ",1\n";
    write("losses.csv", losses);
  }
  ~RecordedRun() override { fs::remove_all(folder_); }
  void write(const char* name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  [[nodiscard]] std::string error() const {
    const auto run = read_run(folder_.string());
    return run ? "" : run.error().what;
  }
  fs::path folder_;
};

TEST_F(RecordedRun, ItsJobsAreWhatTheyWere) {
  const auto jobs = read_run(folder_.string());
  ASSERT_TRUE(jobs) << jobs.error().what;
  ASSERT_EQ(jobs->size(), 2U) << "a job without a step is left out";
  const SimJob &a = jobs->at(0), &b = jobs->at(1);
  EXPECT_EQ(a.group, "g");
  EXPECT_TRUE(a.best);
  EXPECT_EQ(a.family, "mlp");
  EXPECT_DOUBLE_EQ(a.slot_seconds_per_step, 0.02);
  EXPECT_DOUBLE_EQ(b.arrives.seconds(), 2.5);
  EXPECT_DOUBLE_EQ(a.curve.first(), 1);
  EXPECT_NEAR(a.curve.best(), 0.5 + 0.005 * 4.5, 1e-9) << "the best mean of ten reports";
  EXPECT_NEAR(a.curve.at(201), 0.755, 0.001) << "smoothed: a report late";
}

TEST_F(RecordedRun, HowStaleItsGradientsWereIsAsItsManagerMeasured) {
  EXPECT_EQ(read_run(folder_.string())->at(0).staleness, 0) << "nobody measured any";
  std::string losses = "job,seconds,step,examples,loss,slots\n";
  for (int i = 0; i <= 40; ++i)
    losses += "a,0," + std::to_string(1 + 10 * i) + "," + std::to_string(10 * (i + 1)) + "," + std::to_string(1.0 - i * 0.01) + (i >= 21 ? ",2\n" : ",1\n");
  for (int i = 0; i <= 20; ++i) losses += "b,0," + std::to_string(1 + 5 * i) + "," + std::to_string(5 * (i + 1)) + "," + (i == 0 ? "2" : "1") + ",3\n";
  write("losses.csv", losses);
  write("run.json", R"({"version":1,"jobs":[{"name":"a","model":"mlp"},{"name":"b","model":"softmax","consistency":{"mode":"bsp"}}]})");
  write("summary.json", R"({"version":1,"jobs":[{"job":"a","steps":400,"slot_seconds":8,"staleness_per_slot":4},
    {"job":"b","steps":100,"slot_seconds":4,"staleness_per_slot":2},{"job":"idle","steps":0,"slot_seconds":0,"staleness_per_slot":null}]})");
  const auto jobs = read_run(folder_.string());
  ASSERT_TRUE(jobs) << jobs.error().what;
  EXPECT_EQ(jobs->at(0).staleness, 4);
  EXPECT_NEAR(jobs->at(0).penalty, 0.15, 1e-9);
  EXPECT_EQ(jobs->at(1).staleness, 0) << "in step: nothing is stale";
  EXPECT_DOUBLE_EQ(jobs->at(0).steps, 400);
  EXPECT_DOUBLE_EQ(jobs->at(0).curve.steps(), 201 + 200 / 1.6) << "steps of two slots count for less";
  EXPECT_DOUBLE_EQ(jobs->at(1).curve.steps(), 101);
  const auto given = read_run(folder_.string(), Staleness{1, 1});
  EXPECT_EQ(given->at(0).staleness, 1) << "who says how stale they were knows better";
  EXPECT_DOUBLE_EQ(given->at(0).curve.steps(), 201 + 200 / 2.0);
  EXPECT_DOUBLE_EQ(read_run(folder_.string(), Staleness{})->at(0).curve.steps(), 401);
}

TEST_F(RecordedRun, IsSimulatedAsItCame) {
  Scenario scenario;
  scenario.arrivals = "run:" + folder_.string();
  scenario.slots = 1, scenario.round = scenario.report = from_ms(100);
  scenario.noise = 0, scenario.move_cost = {};
  scenario.policies = {"fifo"};
  const auto study = run_study(scenario, {});
  ASSERT_TRUE(study) << study.error().what;
  const Outcome& fifo = study->outcomes.at(0);
  EXPECT_EQ(fifo.jobs, 2U);
  // By hand: a takes 8 s from 0 s, b 4 s from then on, 9.5 s after it came.
  EXPECT_NEAR(fifo.completion_mean, (8 + 9.5) / 2, 0.1);
}

TEST_F(RecordedRun, SaysWhatIsWrong) {
  write("losses.csv", "job,seconds,step,examples,loss,slots\na,0,5,5,1,1\na,0,4,6,1,1\n");
  EXPECT_THAT(error(), HasSubstr("losses.csv:3: step 4 does not come after the one before"));
  write("losses.csv", "job,seconds,step,examples,loss,slots\na,0,1e300,5,1,1\n");
  EXPECT_THAT(error(), HasSubstr("losses.csv:2: 1e+300 is no count"));
  write("losses.csv", "job,loss\na,1\n");
  EXPECT_THAT(error(), HasSubstr("losses.csv:1: not the header of a losses.csv of this version"));
  write("losses.csv", "job,seconds,step,examples,loss,slots\nother,0,5,5,1,1\n");
  EXPECT_THAT(error(), HasSubstr("no job of this run made a step"));
  write("summary.json", R"({"version":2,"jobs":[]})");
  EXPECT_THAT(error(), HasSubstr("summary.json: not of a run of this version"));
  write("summary.json", "{");
  EXPECT_THAT(error(), HasSubstr("summary.json: not of a run of this version"));
  fs::remove(folder_ / "run.json");
  EXPECT_THAT(error(), HasSubstr("run.json"));
}

TEST_F(RecordedRun, HasItsOwnCurvesAndSizes) {
  const std::string arrivals = "run:" + folder_.string();
  const auto scenario = read_scenario("", {{"arrivals", arrivals}, {"jobs", "5"}, {"load", "0.5"}});
  ASSERT_FALSE(scenario);
  EXPECT_THAT(scenario.error().what, HasSubstr("'jobs' is the recorded run's own"));
  EXPECT_THAT(scenario.error().what, HasSubstr("'load' is the recorded run's own"));
  EXPECT_TRUE(read_scenario("", {{"arrivals", arrivals}}));
}

}  // namespace
}  // namespace sluice::sim
