/// Times the manager's rounds, refits included, on synthetic jobs whose curves get noisy reports between rounds. Prints JSON. Everything but the network and
/// the disk.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/rng.h"
#include "manager/round.h"

namespace sluice::manager {
namespace {

struct Options {
  std::string policy = "slaq";
  std::string predictor = "slaq";
  std::uint64_t jobs = 100;
  std::uint32_t slots = 32;
  std::uint64_t rounds = 200;
  bool all_report = true;  ///< every job reports in every round, the worst case: else only those with slots
};

/// Losses 1 / (a step + 1) + floor with 1 % noise; rates and floors differ by job.
double loss_at(std::uint64_t job, std::uint64_t step, Rng& rng) {
  const double rate = 0.002 * static_cast<double>(1 + job % 17);
  const double floor = 0.1 + 0.05 * static_cast<double>(job % 7);
  return (floor + 2.0 / (1.0 + rate * static_cast<double>(step))) * (1.0 + 0.01 * (rng.uniform() - 0.5));
}

int run(const Options& options) {
  const auto policies = builtin_policies();
  const auto predictors = builtin_predictors();
  const auto make_policy = policies.find(options.policy);
  const auto make_predictor = predictors.find(options.predictor);
  if (!make_policy || !make_predictor) {
    fmt::print(stderr, "error: {}\n", (make_policy ? make_predictor.error() : make_policy.error()).what);
    return 2;
  }
  JobTable jobs(**make_predictor);
  Fleet fleet;
  fleet.add(WorkerId(1), "bench", options.slots);
  Rounds rounds({}, (**make_policy)(), jobs, fleet);
  SimClock virtual_time;
  const SystemClock stopwatch;
  SeededRng rng(1);
  std::vector<proto::JobSpec> specs(options.jobs);
  for (std::uint64_t j = 0; j < options.jobs; ++j) specs[j].name = fmt::format("job-{}", j);
  const auto ids = jobs.submit(std::move(specs), virtual_time.now());
  if (!ids) return 70;
  std::vector<std::uint64_t> steps(options.jobs);
  std::vector<double> times_ms;
  for (std::uint64_t r = 0; r < options.rounds; ++r) {
    virtual_time.advance(from_ms(500));
    for (std::uint64_t j = 0; j < options.jobs; ++j) {
      if (!options.all_report && jobs.find((*ids)[j])->slots == 0 && r > 0) continue;
      proto::JobReport report;
      report.job = (*ids)[j];
      report.generation = 1;
      report.step = steps[j] += 20;
      report.examples = report.step * 128;
      report.examples_total = 10'000'000;
      report.seconds = 0.5 * static_cast<double>(r + 1);
      report.window_steps = 20;
      report.window_examples = 20 * 128;
      const double loss = loss_at(j, steps[j], rng);
      report.loss_sum = loss * static_cast<double>(report.window_examples);
      report.loss_squares = loss * report.loss_sum;
      report.slot_seconds = report.seconds;
      (void)jobs.report(report, virtual_time.now());
    }
    const Instant began = stopwatch.now();
    (void)rounds.run(virtual_time.now(), Term(1), "timer");
    times_ms.push_back((stopwatch.now() - began).ms());
  }
  std::sort(times_ms.begin(), times_ms.end());
  const auto at = [&](double q) { return times_ms[static_cast<std::size_t>(q * static_cast<double>(times_ms.size() - 1))]; };
  fmt::print("{{\"policy\":\"{}\",\"predictor\":\"{}\",\"jobs\":{},\"slots\":{},\"rounds\":{},\"p50_ms\":{:.3f},\"p99_ms\":{:.3f}}}\n", options.policy,
             options.predictor, options.jobs, options.slots, options.rounds, at(0.5), at(0.99));
  return 0;
}

}  // namespace
}  // namespace sluice::manager

int main(int argc, char** argv) {
  sluice::manager::Options options;
  CLI::App app{"Times the manager's rounds on synthetic jobs."};
  app.add_option("--policy", options.policy);
  app.add_option("--predictor", options.predictor);
  app.add_option("--jobs", options.jobs)->check(CLI::Range(1, 100'000));
  app.add_option("--slots", options.slots)->check(CLI::Range(1, 1'000'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(2, 1'000'000));
  app.add_flag("!--only-running-report", options.all_report, "only jobs with slots report");
  CLI11_PARSE(app, argc, argv);
  return sluice::manager::run(options);
}
