#pragma once
/// A run's output folder as a scenario's jobs: what another policy, or more slots, would have made of them.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/scenario.h"
#include "sim/simulation.h"

namespace sluice::sim {

/// The jobs of a run (run.json, summary.json, losses.csv of its output folder), in its order: each comes when it was submitted, goes along its own smoothed
/// losses (not below the best smoothed loss, as `sluice compare` defines it), and takes as many slot-seconds a step as it did. Jobs that never reported, or
/// made no step, are left out.
/// Where gradients were stale, with several worker slots at work, a recorded step counts for less along the curve, so that it is what one slot alone would go
/// along. How stale: `staleness`, else what the run's manager measured (summary.json), in the mean over the asynchronous jobs. Of a job that went on from a
/// checkpoint the steps are those of its whole life and the slot-seconds those of this run: it comes out too fast. One that was to end by what its losses do
/// (stop) is undeclared, and ends where it ended. Errors: kNotFound; kBadData naming the file
/// and what of it.
[[nodiscard]] Result<std::vector<SimJob>> read_run(const std::string& folder, const std::optional<Staleness>& staleness = {});

}  // namespace sluice::sim
