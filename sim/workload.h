#pragma once
/// The jobs of a scenario: which curve each goes along, when it comes, how much work it is. Deterministic in the seed.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/curve_files.h"
#include "sim/scenario.h"
#include "sim/simulation.h"

namespace sluice::sim {

/// One job of a trace: seconds since the trace's first, slot-seconds.
struct TraceJob {
  double seconds = 0, work = 0;
};
/// A CSV with a header: timestamp, submit_time or arrival (seconds, or YYYY-MM-DD HH:MM:SS), duration (s), and perhaps num_gpus, num_gpu or slots. By time;
/// jobs without work are left out. Errors: kNotFound, kBadData naming file and line.
[[nodiscard]] Result<std::vector<TraceJob>> read_trace(const std::string& path);

/// What all seeds share.
struct Sources {
  CurveSet curves;
  std::vector<TraceJob> trace;   ///< empty: Poisson
  std::vector<SimJob> recorded;  ///< of arrivals as in a run: all that is simulated
  Duration mean_between;         ///< of Poisson arrivals
};
/// Errors: of the files; kBadConfig (the trace has fewer jobs than wanted).
[[nodiscard]] Result<Sources> read_sources(const Scenario& scenario);

/// The jobs in the order of arrival. Those of a recorded run are what they were, but for who declares its steps; else: a failing job's curve is cut at a share
/// of its steps drawn from .1 to .5: half of them stay where they are from there on, the others' loss doubles with each twentieth of their steps, up to 1000
/// times the range. A group's members arrive at once and go along curves of one group.
[[nodiscard]] std::vector<SimJob> draw_jobs(const Scenario& scenario, const Sources& sources, std::uint64_t seed);

}  // namespace sluice::sim
