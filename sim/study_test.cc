/// Simulations against what can be computed by hand or is known of queues, and mistakes in scenarios and their files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "sim/scenario.h"
#include "sim/simulation.h"
#include "sim/speedup.h"
#include "sim/workload.h"

namespace sluice::sim {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

SimJob falling(const std::string& name, double slot_seconds, double arrives) {
  return {.name = name, .curve = Curve({1, 0}, 1000), .steps = 1000, .slot_seconds_per_step = slot_seconds / 1000, .arrives = from_seconds(arrives)};
}

std::string file(const std::string& name, const std::string& text) {
  const std::string path = (std::filesystem::path(testing::TempDir()) / name).string();
  std::ofstream(path) << text;
  return path;
}

TEST(Study, ThreeJobsOnSixSlotsAsComputedByHand) {
  SimOptions options{.policy = "fair", .slots = 6, .move_cost = {}};
  options.predictor = "last";
  const auto result = simulate(options, {falling("a", 30, 0), falling("b", 60, 0), falling("c", 90, 0)});
  ASSERT_TRUE(result) << result.error().what;
  EXPECT_NEAR(*result->jobs[0].completed, 15, 1e-6) << "two slots each";
  EXPECT_NEAR(*result->jobs[1].completed, 25, 1e-6) << "then three each";
  EXPECT_NEAR(*result->jobs[2].completed, 30, 1e-6) << "then six";
  EXPECT_NEAR(result->jobs[0].loss_seconds, 7.5, 1e-6) << "its loss falls from 1 to 0 in a straight line";
  // b: half of its way in 15 s, the rest in 10 s.
  EXPECT_NEAR(result->jobs[1].loss_seconds, 15 * 0.75 + 10 * 0.25, 1e-6);
}

TEST(Study, FairAtLinearSpeedUpIsProcessorSharing) {
  Scenario scenario;
  scenario.arrivals = "poisson:10s";
  scenario.jobs = 3000;
  scenario.slots = 64;
  scenario.load = 0.5;
  Sources sources;
  sources.curves.curves.push_back({"line", "line", "line", Curve({1, 0}, 1000)});
  sources.mean_between = from_ms(10'000);
  SimOptions options{.policy = "fair", .predictor = "last", .slots = 64, .report = from_ms(60'000), .move_cost = {}};
  const auto result = simulate(options, draw_jobs(scenario, sources, 1));
  ASSERT_TRUE(result) << result.error().what;
  double mean = 0;
  for (const JobResult& job : result->jobs) mean += *job.completed / 3000;
  EXPECT_NEAR(mean, 5 / (1 - 0.5), 1.0) << "E[S] / (1 - load), with E[S] = 5 s on all slots";
}

TEST(Study, UndeclaredJobsEndWhenTheyHaveConvergedAndDeclaredOnesWithTheirCurve) {
  Scenario scenario;
  scenario.arrivals = "poisson:10s";
  scenario.jobs = 4;
  scenario.slots = 8;
  Sources sources;
  std::vector<double> level(1000, 1);
  for (std::size_t i = 0; i < 100; ++i) level[i] = 100 - static_cast<double>(i);
  sources.curves.curves.push_back({"level", "level", "level", Curve(level, 1)});
  sources.mean_between = from_ms(10'000);
  for (const double undeclared : {0, 1}) {
    scenario.undeclared = undeclared;
    const auto result = simulate({.policy = "fair", .predictor = "last", .slots = 8, .report = from_ms(20)}, draw_jobs(scenario, sources, 1));
    ASSERT_TRUE(result) << result.error().what;
    for (const JobResult& job : result->jobs) {
      EXPECT_NEAR(job.left, 0, 1e-3);
      // Nothing changes after 100 of 1,000 steps; the last 40 % of the steps so far must be level.
      EXPECT_NEAR(job.slot_seconds / (8 * job.alone), undeclared == 0 ? 1 : 0.17, 0.03) << job.name;
    }
  }
}

TEST(Study, MistakesInScenariosAndFilesAreNamed) {
  EXPECT_THAT(read_scenario("", {}).error().what, HasSubstr("curves"));
  EXPECT_THAT(read_scenario("", {{"curves", "[a.txt]"}, {"lod", "1"}}).error().what, HasSubstr("load"));
  EXPECT_THAT(read_scenario("", {{"curves", "[a.txt]"}, {"policies", "[slak]"}}).error().what, HasSubstr("slaq"));
  EXPECT_THAT(read_scenario("", {{"curves", "[a.txt]"}, {"objective", "best"}}).error().what, HasSubstr("groups"));
  EXPECT_THAT(read_scenario("", {{"curves", "[a.txt]"}, {"seeds", "5..1"}}).error().what, HasSubstr("seeds"));
  EXPECT_EQ(read_curves({"/nowhere/at-all.txt"}).error().code, Errc::kNotFound);
  EXPECT_THAT(read_curves({file("bad.txt", "1\nnan\n")}).error().what, HasSubstr("bad.txt:2"));
  EXPECT_THAT(read_curves({file("short.txt", "1\n")}).error().what, HasSubstr("needs two"));
  EXPECT_THAT(read_curves({file("none.csv", "run,step\na,1\n")}).error().what, HasSubstr("validation_loss"));
  EXPECT_THAT(read_curves({file("back.csv", "run,step,loss\na,2,1\na,1,1\n")}).error().what, HasSubstr("back.csv:3"));
  EXPECT_THAT(read_curves({file("wide.csv", "run,loss\na,1,2\n")}).error().what, HasSubstr("wide.csv:2"));
  EXPECT_THAT(Speedup::parse("concave:x").error().what, HasSubstr("concave"));
  EXPECT_THAT(read_trace(file("trace.csv", "timestamp,duration\nlate,5\n")).error().what, HasSubstr("trace.csv:2"));
}

/// What is said of a scenario file with these lines.
std::string mistakes(const std::string& lines) {
  const std::string path = file("scenario.yaml", lines);
  const auto got = read_scenario(path, {});
  return got ? std::string("none") : got.error().what;
}

TEST(Study, StalenessIsReadAndGivenToEveryJob) {
  const auto given = [](const std::string& value) { return *read_scenario("", {{"curves", "[a.txt]"}, {"staleness", value}})->staleness; };
  EXPECT_FALSE(read_scenario("", {{"curves", "[a.txt]"}})->staleness);
  EXPECT_EQ(given("4.4").per_slot, 4.4);
  EXPECT_NEAR(given("4.4").penalty, 0.15, 1e-9) << "what the manager believes at first";
  EXPECT_EQ(given("4.4,0.3").penalty, 0.3);
  EXPECT_EQ(given("[4.4, 0]").penalty, 0);
  for (const char* wrong : {"-1", "much", "4.4,2", "4.4,0.1,1", "nan"})
    EXPECT_THAT(read_scenario("", {{"curves", "[a.txt]"}, {"staleness", wrong}}).error().what, HasSubstr("'staleness' must be the steps")) << wrong;
  Scenario scenario;
  scenario.curves = {file("falls.txt", "3\n2\n1\n")};
  scenario.jobs = 3;
  scenario.staleness = Staleness{2, 0.5};
  for (const SimJob& job : draw_jobs(scenario, *read_sources(scenario), 1)) EXPECT_EQ(job.staleness * job.penalty, 1);
}

TEST(Study, MistakesInAScenarioFileHaveTheirLine) {
  EXPECT_EQ(mistakes("curves: [a.txt]\nhost_fails: 2h\nhosts: 4\nfairness: strict\npolicies: [fair, oracle-aged]\n"), "none");
  EXPECT_THAT(mistakes("curves: [a.txt]\nlod: 1\n"), AllOf(HasSubstr("scenario.yaml:2:1"), HasSubstr("did you mean 'load'")));
  EXPECT_THAT(mistakes("curves: [a.txt]\n\npolicies:\n  - slak\n"), AllOf(HasSubstr("scenario.yaml:4:"), HasSubstr("did you mean 'slaq'")));
  EXPECT_THAT(mistakes("curves: [a.txt]\nload: heavy\nnoise: -1\nround: 3\n"),
              AllOf(HasSubstr("scenario.yaml:2:7: 'load' must be a number"), HasSubstr("scenario.yaml:3:8: 'noise'"), HasSubstr("scenario.yaml:4:8")));
  EXPECT_THAT(mistakes("curves: [a.txt]\nspeedup: convex:2\n"), HasSubstr("scenario.yaml:2:10"));
  EXPECT_THAT(mistakes("curves: [a.txt]\narrivals: weibull:2\n"), HasSubstr("scenario.yaml:2:11: arrivals 'weibull:2' are none of poisson:TIME"));
  EXPECT_THAT(mistakes("curves: [a.txt]\nfairness: lenient\nobjective: beast\nseeds: 9..2\n"),
              AllOf(HasSubstr("scenario.yaml:2:11"), HasSubstr("scenario.yaml:3:12"), HasSubstr("scenario.yaml:4:8")));
  EXPECT_THAT(mistakes("curves: [a.txt]\nhosts: 900\nslots: 8\n"), HasSubstr("scenario.yaml:2:8"));
  EXPECT_THAT(mistakes("jobs: 5\n"), HasSubstr("a scenario needs 'curves'"));
  EXPECT_THAT(mistakes("curves: [a.txt\n"), HasSubstr("scenario.yaml:"));
  EXPECT_THAT(mistakes(""), HasSubstr("empty; a scenario needs 'curves'"));
}

}  // namespace
}  // namespace sluice::sim
