/// Times the manager's rounds on synthetic jobs whose curves get noisy reports between rounds, and says where the time goes and what a job takes of memory.
/// Prints JSON. Everything but the network and the disk.

#include <fmt/format.h>
#include <malloc.h>

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
  std::uint32_t hosts = 1;
  std::uint64_t rounds = 200;
  double changed = 1;      ///< share of the jobs that report in a round; the first rounds, in which all do, are not timed
  bool all_report = true;  ///< false: of those only the ones with slots
  bool record = true;      ///< lines of decisions.jsonl are made
  int refit_iterations = 1'000'000'000;
};
constexpr std::uint64_t kWarmUp = 4;  ///< rounds in which all jobs report

/// Losses 1 / (a step + 1) + floor with 1 % noise; rates and floors differ by job.
double loss_at(std::uint64_t job, std::uint64_t step, Rng& rng) {
  const double rate = 0.002 * static_cast<double>(1 + job % 17);
  const double floor = 0.1 + 0.05 * static_cast<double>(job % 7);
  return (floor + 2.0 / (1.0 + rate * static_cast<double>(step))) * (1.0 + 0.01 * (rng.uniform() - 0.5));
}

double at(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

class Bench {
 public:
  Bench(const Options& options, std::unique_ptr<Policy> policy, MakePredictor predictor)
      : options_(options), before_(mallinfo2().uordblks + mallinfo2().hblkhd), jobs_(std::move(predictor)), steps_(options.jobs) {
    for (std::uint32_t h = 0; h < options.hosts; ++h) fleet_.add(WorkerId(h + 1), fmt::format("host-{}", h + 1), slots_before(h + 1) - slots_before(h));
    RoundOptions round;
    round.record = options.record;
    round.refit_iterations_max = options.refit_iterations;
    round.stopwatch = &stopwatch_;
    rounds_ = std::make_unique<Rounds>(round, std::move(policy), jobs_, fleet_);
    std::vector<proto::JobSpec> specs(options.jobs);
    for (std::uint64_t j = 0; j < options.jobs; ++j) specs[j].name = fmt::format("job-{}", j), specs[j].slots_max = options.slots;
    ids_ = *jobs_.submit(std::move(specs), time_.now());
  }

  void run() {
    for (std::uint64_t r = 0; r < kWarmUp + options_.rounds; ++r) {
      time_.advance(from_ms(500));
      const Instant began = stopwatch_.now();
      const std::uint64_t reports = report(r < kWarmUp ? 1 : options_.changed);
      const double report_us = reports > 0 ? (stopwatch_.now() - began).ms() * 1e3 / static_cast<double>(reports) : 0;
      const RoundResult result = rounds_->run(time_.now(), Term(1), "timer");
      if (r < kWarmUp) continue;
      reports_us_.push_back(report_us);
      note(result);
      while (!rounds_->outcome(time_.now()).is_null()) {}
    }
  }

  void print() const {
    const std::size_t now = mallinfo2().uordblks + mallinfo2().hblkhd;
    std::string parts;
    for (const auto& [name, times] : parts_)
      parts += fmt::format("{}\"{}\":[{:.3f},{:.3f},{:.3f}]", parts.empty() ? "" : ",", name, at(times, 0), at(times, 0.5), at(times, 0.99));
    fmt::print(
        "{{\"policy\":\"{}\",\"predictor\":\"{}\",\"jobs\":{},\"slots\":{},\"hosts\":{},\"rounds\":{},\"changed\":{},\"record\":{},\"least_ms\":{:.3f},"
        "\"p50_ms\":{:.3f},\"p99_ms\":{:.3f},\"us_per_job\":{:.3f},\"report_us\":{:.2f},\"parts_least_p50_p99_ms\":{{{}}},\"views_made\":{:.0f},\"slots_"
        "moved\":{:.0f},"
        "\"line_bytes\":{:.0f},\"bytes_per_job\":{:.0f}}}\n",
        options_.policy, options_.predictor, options_.jobs, options_.slots, options_.hosts, options_.rounds, options_.changed, options_.record, at(times_, 0),
        at(times_, 0.5), at(times_, 0.99), at(times_, 0.5) * 1e3 / static_cast<double>(options_.jobs), at(reports_us_, 0.5), parts, at(made_, 0.5),
        at(moved_, 0.5), at(line_bytes_, 0.5), static_cast<double>(now - before_) / static_cast<double>(options_.jobs));
  }

 private:
  [[nodiscard]] std::uint32_t slots_before(std::uint32_t host) const {
    return static_cast<std::uint32_t>(std::uint64_t{options_.slots} * host / options_.hosts);
  }
  std::uint64_t report(double share) {
    std::uint64_t reports = 0;
    for (std::uint64_t j = 0; j < options_.jobs; ++j) {
      // Each job in its turn.
      due_ += share;
      if (due_ < 1) continue;
      due_ -= 1;
      const Job& job = *jobs_.find(ids_[j]);
      if (!options_.all_report && job.slots == 0 && job.reports > 0) continue;
      const double passed = (time_.now() - Instant{}).seconds();
      proto::JobReport report;
      report.job = ids_[j];
      report.generation = 1;
      report.step = steps_[j] += 20;
      report.examples = report.step * 128;
      report.examples_total = 10'000'000;
      report.seconds = passed;
      report.window_steps = 20;
      report.window_examples = 20 * 128;
      const double loss = loss_at(j, steps_[j], rng_);
      report.loss_sum = loss * static_cast<double>(report.window_examples);
      report.loss_squares = loss * report.loss_sum;
      report.slot_seconds = job.slot_seconds + 0.5 * std::max(1U, job.slots);
      (void)jobs_.report(report, time_.now());
      ++reports;
    }
    return reports;
  }
  void note(const RoundResult& result) {
    const RoundParts& p = result.parts;
    times_.push_back(p.refit_ms + p.view_ms + p.decide_ms + p.carry_ms + p.record_ms);
    for (const auto& [name, ms] : {std::pair("refit", p.refit_ms), std::pair("view", p.view_ms), std::pair("decide", p.decide_ms),
                                   std::pair("carry_out", p.carry_ms), std::pair("record", p.record_ms)}) {
      const auto part = std::find_if(parts_.begin(), parts_.end(), [&, &wanted = name](const auto& known) { return known.first == wanted; });
      (part == parts_.end() ? parts_.emplace_back(name, std::vector<double>()) : *part).second.push_back(ms);
    }
    made_.push_back(static_cast<double>(result.views_made));
    moved_.push_back(static_cast<double>(result.changes.size()));
    if (!result.line.is_null()) line_bytes_.push_back(static_cast<double>(result.line.dump().size()));
  }

  const Options& options_;
  std::size_t before_;
  const SystemClock stopwatch_;
  SimClock time_;
  SeededRng rng_{1};
  JobTable jobs_;
  Fleet fleet_;
  std::unique_ptr<Rounds> rounds_;
  std::vector<JobId> ids_;
  std::vector<std::uint64_t> steps_;
  double due_ = 0;
  std::vector<double> times_, reports_us_, made_, moved_, line_bytes_;
  std::vector<std::pair<std::string, std::vector<double>>> parts_;
};

int run(const Options& options) {
  const auto policies = builtin_policies();
  const auto predictors = builtin_predictors();
  const auto make_policy = policies.find(options.policy);
  const auto make_predictor = predictors.find(options.predictor);
  if (!make_policy || !make_predictor) {
    fmt::print(stderr, "error: {}\n", (make_policy ? make_predictor.error() : make_policy.error()).what);
    return 2;
  }
  Bench bench(options, (**make_policy)(), **make_predictor);
  bench.run();
  bench.print();
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
  app.add_option("--hosts", options.hosts, "that the slots are on")->check(CLI::Range(1, 100'000));
  app.add_option("--rounds", options.rounds)->check(CLI::Range(2, 1'000'000));
  app.add_option("--changed", options.changed, "share of the jobs that report in a round")->check(CLI::Range(0.0, 1.0));
  app.add_option("--refit-iterations", options.refit_iterations, "solver iterations a round (default: all that was reported is taken in)");
  app.add_flag("!--only-running-report", options.all_report, "only jobs with slots report");
  app.add_flag("!--no-record", options.record, "no lines of decisions.jsonl are made");
  CLI11_PARSE(app, argc, argv);
  if (options.hosts > options.slots) {
    fmt::print(stderr, "error: more hosts than slots\n");
    return 2;
  }
  return sluice::manager::run(options);
}
