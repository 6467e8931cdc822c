#pragma once
/// What to simulate, as users write it: a YAML file and flags that say the same with the same names. Strict, as run files are.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "manager/cluster_view.h"

namespace sluice::sim {

/// What asynchronous worker slots of one job do to each other's gradients.
struct Staleness {
  double per_slot = 0;  ///< steps that each slot beside the first makes a gradient older by
  double penalty = 0;   ///< with a staleness of s steps a step brings a job 1 / (1 + penalty × s) steps on
};

struct Scenario {
  std::vector<std::string> curves;       ///< paths (sim/curve_files.h)
  std::string arrivals = "poisson:15s";  ///< or trace:FILE, or run:FOLDER: a recorded run's own jobs, when they came
  std::uint64_t jobs = 160;
  std::uint32_t slots = 640;
  Duration round = from_ms(3000), report = from_ms(250), report_delay, decision_delay, move_cost = from_ms(20);  ///< report: as live job homes do
  double load = 0;     ///< 0: a trace's own work; of Poisson arrivals .8
  double spread = 10;  ///< the largest job's work over the smallest's, log-uniform between; a trace has its own
  std::string speedup = "linear";
  std::optional<Staleness> staleness;  ///< nothing: of a recorded run as it was recorded, else none
  double noise = 0.01;
  double undeclared = 0, failing = 0;
  std::uint32_t groups = 0;
  bool best = false;
  std::uint32_t hosts = 1;
  Duration host_fails, host_repair = from_ms(300'000);
  std::vector<std::string> policies = {"fair", "sluice"};
  std::string predictor = "auto";  ///< `slaq` for SLAQ's policies, the default one for all others
  manager::Fairness fairness;
  std::uint64_t seed_first = 1, seed_last = 1;
  Duration until = from_ms(30LL * 86'400'000);
};

/// `path` empty: only flags. `flags`: key and YAML value of each, as typed. Errors: kBadConfig with all mistakes, a line each; kNotFound, kIo of the file.
[[nodiscard]] Result<Scenario> read_scenario(const std::string& path, const std::vector<std::pair<std::string, std::string>>& flags);

}  // namespace sluice::sim
