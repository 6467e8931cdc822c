/// Policies on curves like those of examples/sweep.yaml's twelve jobs, in simulated time, with the manager's own code. The shapes are rough fits by eye to what
/// the jobs do (loss by epochs), so this compares policies; it does not foretell seconds. Prints one JSON object a line and policy.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "sim/simulation.h"

namespace sluice::sim {
namespace {

/// loss(e) = floor + (first − floor) × (1 + e / begin)^−power after e epochs.
struct Shape {
  const char* name;
  double first, floor, begin, power, epochs, rows, seconds;  ///< seconds: of one slot for all epochs
  bool jumps = false;                                        ///< jumps() comes on top
};
constexpr Shape kSweep[] = {
    {"mlp-256", 2.5, 0.0, 0.004, 0.30, 22, 60000, 22},          {"mlp-256-128", 2.4, 0.0, 0.0035, 0.30, 20, 60000, 24},
    {"mlp-64-tanh", 2.4, 0.15, 0.004, 0.36, 40, 60000, 16},     {"softmax", 2.3, 0.39, 0.008, 0.60, 40, 60000, 13},
    {"wordnet", 3.81, 0.0, 0.03, 0.45, 20, 93955, 30},          {"mlp-256-l2", 2.5, 0.52, 0.012, 0.75, 20, 60000, 20},
    {"mlp-128-l2", 2.5, 0.43, 0.01, 0.70, 12, 60000, 8},        {"wordnet-l2", 3.81, 1.1, 0.05, 0.80, 20, 93955, 30},
    {"wordnet-l2-high", 3.81, 1.75, 0.03, 0.80, 15, 93955, 22}, {"wordnet-sgd", 3.81, 2.1, 0.06, 0.70, 20, 93955, 30},
    {"mlp-hot", 2.5, 1.2, 0.03, 2.0, 10, 60000, 7, true},       {"mlp-tiny", 2.35, 0.6, 0.12, 0.90, 25, 60000, 7},
};

/// mlp-hot: up to 40 in the first batches, down again, and then slowly up to chance.
double jumps(double epochs) { return 40 * epochs / 0.01 * std::exp(1 - epochs / 0.01) + std::min(1.1, 0.4 * epochs); }

std::vector<SimJob> sweep(double slower) {
  std::vector<SimJob> jobs;
  for (const Shape& s : kSweep) {
    const double steps = std::ceil(s.epochs * s.rows / 128);
    constexpr double kStepsAPoint = 2;
    std::vector<double> losses;
    for (double step = 0; step < steps + kStepsAPoint; step += kStepsAPoint)
      losses.push_back(s.floor + (s.first - s.floor) * std::pow(1 + step * 128 / s.rows / s.begin, -s.power) + (s.jumps ? jumps(step * 128 / s.rows) : 0));
    jobs.push_back({s.name, Curve(std::move(losses), kStepsAPoint), steps, slower * s.seconds / steps, {}});
  }
  return jobs;
}

double mean(const std::vector<JobResult>& jobs, std::optional<double> JobResult::*field, double otherwise) {
  double sum = 0;
  for (const JobResult& job : jobs) sum += (job.*field).value_or(otherwise);
  return sum / static_cast<double>(jobs.size());
}

int run(const std::vector<std::string>& policies, std::uint64_t seeds, SimOptions options, double slower, bool each) {
  for (const std::string& policy : policies) {
    options.policy = policy;
    nlohmann::json line = {{"policy", policy}, {"seeds", seeds}};
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
      options.seed = seed;
      const auto result = simulate(options, sweep(slower));
      if (!result) {
        fmt::print(stderr, "error: {}\n", result.error().what);
        return 2;
      }
      const auto add = [&](const char* name, double value) { line[name] = line.value(name, 0.0) + value / static_cast<double>(seeds); };
      add("to_50", mean(result->jobs, &JobResult::to_50, result->seconds));
      add("to_75", mean(result->jobs, &JobResult::to_75, result->seconds));
      add("to_90", mean(result->jobs, &JobResult::to_90, result->seconds));
      add("to_95", mean(result->jobs, &JobResult::to_95, result->seconds));
      add("seconds", result->seconds);
      add("decisions", static_cast<double>(result->decisions));
      double loss_seconds = 0;
      for (const JobResult& job : result->jobs) loss_seconds += job.loss_seconds / static_cast<double>(result->jobs.size());
      add("loss_seconds_per_job", loss_seconds);
      if (!each) continue;
      for (const JobResult& job : result->jobs)
        fmt::print("{} {} {:16} {:6.1f} {:6.1f} {:6.1f} {:6.1f} done {:6.1f} moves {} slot-s {:.2f}\n", policy, seed, job.name, job.to_50.value_or(-1),
                   job.to_75.value_or(-1), job.to_90.value_or(-1), job.to_95.value_or(-1), job.completed.value_or(-1), job.moves, job.slot_seconds);
    }
    fmt::print("{}\n", line.dump());
  }
  return 0;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  sluice::sim::SimOptions options;
  options.step_noise = 0.1;
  std::vector<std::string> policies = {"fair", "slaq"};
  std::uint64_t seeds = 3;
  bool each = false;
  CLI::App app{"Policies on curves like those of examples/sweep.yaml, simulated."};
  app.add_option("--policies", policies)->delimiter(',');
  app.add_option("--seeds", seeds)->check(CLI::Range(1, 1000));
  app.add_option("--slots", options.slots)->check(CLI::Range(1, 100'000));
  app.add_option("--noise", options.step_noise, "of one step's loss, a share of it");
  app.add_option("--kappa", options.kappa);
  double until = 86'400, slower = 1;
  app.add_option("--slower", slower, "than two slots on a quiet machine of two cores");
  app.add_option("--until", until, "seconds");
  app.add_flag("--each", each, "a line a job: time to 50, 75, 90, 95 % and its end");
  CLI11_PARSE(app, argc, argv);
  options.until = sluice::from_seconds(until);
  return sluice::sim::run(policies, seeds, options, slower, each);
}
