#pragma once
/// Where a job stands with its target: whether it is reached, and how likely that it will be in time. Pure.

#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "base/clock.h"
#include "manager/job_table.h"

namespace sluice::manager {

struct TargetView {
  std::optional<double> now;  ///< of what the target is about: the smoothed loss, the newest held-out loss or metric
  bool reached = false;       ///< by `now`
  /// P(reached by `by_seconds`): by the predictor of the loss, or of the held-out score that the target is about, with the worker slots that the job is
  /// entitled to now. 1 or 0 where it is settled; nothing where nothing can be said: no forecast yet (fewer than two reports, or scorings), no end to look at.
  std::optional<double> probability;
  /// From the submission: the target's own time, else the expected end of training; nothing: not known.
  std::optional<double> by_seconds;
};

/// `share`: of the last decision, in slots; 0: nothing was decided yet. REQUIRES: job.spec.target.
[[nodiscard]] TargetView target_view(const Job& job, double share, Instant now);
/// {"of", "value", "by_seconds", "now", "reached", "probability", "sentence"}, or null without a target (docs/calls.md).
[[nodiscard]] nlohmann::json target_json(const Job& job, double share, Instant now);

}  // namespace sluice::manager
