#pragma once
/// A cluster without computing: jobs go along known curves as fast as their worker slots carry them, and what decides is the manager's own code: JobTable,
/// Fleet, Rounds, policies and predictors. Time goes from event to event (arrivals, ends, reports, rounds, hosts that fail); between two events every job's
/// progress is a straight line, so that ends and integrals are exact. Deterministic but for the measured times of rounds: the same options and jobs give the
/// same result. One thread; many simulations may run at once.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manager/cluster_view.h"
#include "sim/curve.h"
#include "sim/speedup.h"

namespace sluice::sim {

struct SimJob {
  std::string name;
  Curve curve;
  double steps = 0;                  ///< the job ends with them, if not before
  double slot_seconds_per_step = 0;  ///< of one slot alone
  Duration arrives = {};
  bool declared = true;     ///< false: nobody tells the manager how many steps it has, and it ends when its home sees that it has converged, too
  bool converges = true;    ///< false: an undeclared one ends with its curve alone
  bool best = false;        ///< only the best of its group counts
  std::string group = {};   ///< empty: none
  std::string family = {};  ///< of its curve
  double staleness = 0;     ///< steps that each slot beside the first makes every gradient older by
  double penalty = 0;       ///< with a staleness of s steps a step brings it 1 / (1 + penalty × s) steps on along its curve
};

struct SimOptions {
  std::string policy = "slaq", predictor = "slaq";
  std::uint32_t slots = 2;
  std::uint32_t hosts = 1;  ///< that share the slots
  Duration round = from_ms(500);
  Duration report = from_ms(250);  ///< job homes report this often, and after their steps 1, 4, 16 and 64
  Duration report_delay = {}, decision_delay = {};
  Duration move_cost = from_ms(2);
  double kappa = 0;        ///< n slots are worth n / (1 + kappa (n − 1)): Amdahl-like contention; where `speedup` is linear
  double step_noise = 0;   ///< standard deviation of one step's loss, as a share of the loss; a report has the mean of its steps
  double noise = 0;        ///< standard deviation of a report, as a share of the curve's range
  std::uint64_t seed = 1;  ///< of the noise and of the hosts' failures
  Duration until = from_ms(86'400'000);
  Speedup speedup = {};
  Duration host_fails = {}, host_repair = from_ms(300'000);  ///< means of exponential times; 0: no host fails
  manager::Fairness fairness = {};
  bool series = false;  ///< samples over time, and the errors of predictions
};

/// Times are seconds since the job's arrival; nothing where it did not get there.
struct JobResult {
  std::string name, family, group;
  double arrives = 0;
  std::optional<double> to_50, to_75, to_90, to_95, to_99, completed;
  double loss_seconds = 0;  ///< ∫ normalised true loss dt until it completed (or the end)
  double left = 1;          ///< normalised true loss at its end (or the end)
  double slot_seconds = 0;
  double alone = 0;         ///< seconds that it would take on all slots, alone
  std::uint64_t moves = 0;  ///< slots that came to it
};

struct GroupResult {
  std::string name;
  double loss_seconds = 0;  ///< ∫ (best loss so far − best that any member reaches) / (first − that best) dt, until it is reached
};

/// What a round left behind.
struct Sample {
  double seconds = 0;
  std::uint32_t active = 0;
  double normalized_loss = 0;  ///< mean over active jobs
  double price = 0;
  std::uint64_t moves = 0;                      ///< so far
  std::uint32_t high = 0, middle = 0, low = 0;  ///< slots of the quarter of jobs with the highest normalised loss, of the next quarter, of the rest
};

struct SimResult {
  std::vector<JobResult> jobs;  ///< in the order given
  std::vector<GroupResult> groups;
  double seconds = 0;  ///< simulated
  std::uint64_t rounds = 0, decisions = 0, moves = 0;
  double active_normalized_loss = 0;  ///< mean over the time in which jobs are active of the mean over those
  std::vector<double> round_ms;       ///< measured, by size
  std::vector<Sample> samples;
  std::vector<double> prediction_errors;  ///< |predicted − true| drop of a round, as a share of the curve's range, by size
};

/// The simulator's policies: the manager's, and oracles that know the true curves (sim/oracles.h).
[[nodiscard]] std::vector<std::string> policy_names();
/// Errors: kBadConfig with the known names.
[[nodiscard]] Result<void> check_policy(const std::string& name);

/// Errors: kBadConfig (an unknown policy or predictor, no slots, two jobs of a name, a job without steps or time).
[[nodiscard]] Result<SimResult> simulate(const SimOptions& options, const std::vector<SimJob>& jobs);

}  // namespace sluice::sim
