#pragma once
/// A cluster without computing: jobs go along known curves as fast as their worker slots carry them, and what decides is the manager's own code: JobTable,
/// Fleet, Rounds, policies and predictors. Deterministic: the same options and jobs give the same result. One thread.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sim/curve.h"

namespace sluice::sim {

struct SimJob {
  std::string name;
  Curve curve;
  double steps = 0;                  ///< declared; the job ends with them
  double slot_seconds_per_step = 0;  ///< of one slot alone
  Duration arrives;
};

struct SimOptions {
  std::string policy = "slaq", predictor = "slaq";
  std::uint32_t slots = 2;
  Duration round = from_ms(500);
  Duration tick = from_ms(100);    ///< time goes on in such pieces; arrivals and ends are decided upon at their borders
  Duration report = from_ms(200);  ///< job homes report this often, and after their steps 1, 4, 16 and 64
  Duration move_cost = from_ms(2);
  double kappa = 0;        ///< n slots are worth n / (1 + kappa (n − 1)): Amdahl-like contention
  double step_noise = 0;   ///< standard deviation of one step's loss, as a share of the loss; a report has the mean of its steps
  std::uint64_t seed = 1;  ///< of the noise
  Duration until = from_ms(86'400'000);
};

/// Times are seconds since the job's arrival; nothing where it did not get there.
struct JobResult {
  std::string name;
  std::optional<double> to_50, to_75, to_90, to_95, completed;
  double loss_seconds = 0;  ///< ∫ normalised true loss dt until it completed (or the end)
  double slot_seconds = 0;
  std::uint64_t moves = 0;  ///< slots that came to it
};

struct SimResult {
  std::vector<JobResult> jobs;  ///< in the order given
  double seconds = 0;           ///< simulated
  std::uint64_t rounds = 0, decisions = 0;
};

/// Errors: kBadConfig (an unknown policy or predictor, no slots, two jobs of a name, a job without steps or time).
[[nodiscard]] Result<SimResult> simulate(const SimOptions& options, const std::vector<SimJob>& jobs);

}  // namespace sluice::sim
