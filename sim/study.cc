#include "sim/study.h"

#include <tbb/parallel_for.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "manager/predictor.h"

namespace sluice::sim {
namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// REQUIRES: sorted.
double quantile(const std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  return values[static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size() - 1)))];
}

std::string predictor_of(const Scenario& scenario, const std::string& policy) {
  if (scenario.predictor != "auto") return scenario.predictor;
  if (policy.starts_with("oracle")) return "last";  // it does not listen
  return policy.starts_with("slaq") ? "slaq" : std::string(manager::kDefaultPredictor);
}

SimOptions options_of(const Scenario& scenario, const Speedup& speedup, const std::string& policy, std::uint64_t seed) {
  SimOptions out;
  out.policy = policy;
  out.predictor = predictor_of(scenario, policy);
  out.slots = scenario.slots;
  out.hosts = scenario.hosts;
  out.round = scenario.round;
  out.report = scenario.report;
  out.report_delay = scenario.report_delay;
  out.decision_delay = scenario.decision_delay;
  out.move_cost = scenario.move_cost;
  out.noise = scenario.noise;
  out.seed = seed;
  out.until = scenario.until;
  out.speedup = speedup;
  out.host_fails = scenario.host_fails;
  out.host_repair = scenario.host_repair;
  out.fairness = scenario.fairness;
  out.series = seed == scenario.seed_first;
  return out;
}

}  // namespace

Outcome outcome_of(const std::string& policy, std::uint64_t seed, SimResult&& result, bool first) {
  Outcome out;
  out.policy = policy;
  out.seed = seed;
  out.jobs = result.jobs.size();
  out.active_normalized_loss = result.active_normalized_loss;
  std::vector<double> to_90, to_95, to_99, completion, loss, left, groups;
  for (const JobResult& job : result.jobs) {
    const double end = job.completed.value_or(std::max(0.0, result.seconds - job.arrives));
    out.unfinished += job.completed ? 0 : 1;
    completion.push_back(end);
    loss.push_back(job.loss_seconds);
    left.push_back(job.left);
    to_90.push_back(job.to_90.value_or(end));
    to_95.push_back(job.to_95.value_or(end));
    to_99.push_back(job.to_99.value_or(end));
    if (job.alone > 0) out.worst_slowdown = std::max(out.worst_slowdown, end / job.alone);
  }
  for (const GroupResult& group : result.groups) groups.push_back(group.loss_seconds);
  for (auto* values : {&to_90, &completion}) std::sort(values->begin(), values->end());
  out.loss_seconds_per_job = mean(loss);
  out.loss_left = mean(left);
  out.seconds_to_90 = mean(to_90);
  out.seconds_to_95 = mean(to_95);
  out.seconds_to_99 = mean(to_99);
  out.completion_mean = mean(completion);
  out.completion_p50 = quantile(completion, 0.5);
  out.completion_p99 = quantile(completion, 0.99);
  out.group_loss_seconds = mean(groups);
  out.moves_per_round = result.rounds > 0 ? static_cast<double>(result.moves) / static_cast<double>(result.rounds) : 0;
  out.round_ms_p50 = quantile(result.round_ms, 0.5);
  out.round_ms_p99 = quantile(result.round_ms, 0.99);
  out.rounds = result.rounds;
  out.seconds = result.seconds;
  out.each = std::move(result.jobs);
  if (!first) return out;
  out.prediction_error_p50 = quantile(result.prediction_errors, 0.5);
  out.prediction_error_p90 = quantile(result.prediction_errors, 0.9);
  out.prediction_errors = std::move(result.prediction_errors);
  out.to_90 = std::move(to_90);
  out.completion = std::move(completion);
  out.samples = std::move(result.samples);
  return out;
}

Result<Study> run_study(const Scenario& scenario, const Progress& progress) {
  const auto sources = read_sources(scenario);
  if (!sources) return fail(sources.error());
  const auto speedup = Speedup::parse(scenario.speedup);
  if (!speedup) return fail(speedup.error());
  Study study{scenario, sources->recorded.empty() ? sources->curves.curves.size() : sources->recorded.size(), sources->curves.left_out, {}};
  const std::uint64_t seeds = scenario.seed_last - scenario.seed_first + 1;
  const std::size_t all = scenario.policies.size() * seeds;
  study.outcomes.resize(all);
  std::mutex mutex;
  std::optional<Error> wrong;
  std::size_t done = 0;
  tbb::parallel_for(std::size_t{0}, all, [&](std::size_t i) {
    const std::string& policy = scenario.policies[i / seeds];
    const std::uint64_t seed = scenario.seed_first + i % seeds;
    auto result = simulate(options_of(scenario, *speedup, policy, seed), draw_jobs(scenario, *sources, seed));
    const std::lock_guard lock(mutex);
    if (result)
      study.outcomes[i] = outcome_of(policy, seed, std::move(*result), seed == scenario.seed_first);
    else
      wrong = result.error();
    if (progress) progress(++done, all);
  });
  if (wrong) return fail(*wrong);
  return study;
}

}  // namespace sluice::sim
