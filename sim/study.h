#pragma once
/// A scenario's simulations: every policy with every seed, several at a time (TBB), and what came of each.

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/scenario.h"
#include "sim/simulation.h"
#include "sim/workload.h"

namespace sluice::sim {

/// What one simulation came to. Times in seconds; those of jobs are means over the jobs, with what was never reached counted as the job's (or, where it did not
/// end, the simulation's) end.
struct Outcome {
  std::string policy;
  std::uint64_t seed = 0;
  std::size_t jobs = 0, unfinished = 0;
  double loss_seconds_per_job = 0;    ///< per submitted job
  double active_normalized_loss = 0;  ///< mean over time of the mean over active jobs: SLAQ's measure
  double seconds_to_90 = 0, seconds_to_95 = 0, seconds_to_99 = 0;
  double loss_left = 0;  ///< mean over the jobs of the normalised true loss at their ends
  double completion_mean = 0, completion_p50 = 0, completion_p99 = 0;
  double worst_slowdown = 0;      ///< completion over what it would take on all slots, alone
  double group_loss_seconds = 0;  ///< mean over the groups; 0 without
  double moves_per_round = 0;
  double round_ms_p50 = 0, round_ms_p99 = 0;
  double prediction_error_p50 = 0, prediction_error_p90 = 0;  ///< of a round's drop, share of the range; of the first seed
  std::uint64_t rounds = 0;
  double seconds = 0;                     ///< simulated
  std::vector<double> to_90, completion;  ///< of each job, by size; of the first seed
  std::vector<Sample> samples;            ///< of the first seed
  std::vector<JobResult> each;            ///< in the order given
  std::vector<double> prediction_errors;  ///< of a round's drop, share of the range, by size; of the first seed
};

struct Study {
  Scenario scenario;
  std::size_t curves = 0, left_out = 0;  ///< curves: of a recorded run, its jobs
  std::vector<Outcome> outcomes;         ///< by policy as given, then by seed
};

/// Called from several threads, one at a time, after each simulation.
using Progress = std::function<void(std::size_t done, std::size_t all)>;

/// Errors: of the scenario's files.
[[nodiscard]] Result<Study> run_study(const Scenario& scenario, const Progress& progress);

/// Of one simulation. `first`: keep what pictures need.
[[nodiscard]] Outcome outcome_of(const std::string& policy, std::uint64_t seed, SimResult&& result, bool first);

}  // namespace sluice::sim
