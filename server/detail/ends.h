#pragma once
/// When a job has reached its target. (Whether its loss still falls: base/convergence.h.) Pure.

#include <cstdint>
#include <span>
#include <string>

#include "base/loss_curve.h"
#include "proto/job_spec.h"

namespace sluice::server {

/// The loss as people are shown it: each report weighs one half against those before. 0 for none.
[[nodiscard]] double smoothed_loss(std::span<const LossPoint> curve);
/// "target reached: loss <= 0.35: 0.3493 after 2000 steps", or empty. `value`: of what the target is about.
[[nodiscard]] std::string reached_words(const proto::TargetSpec& target, double value, std::uint64_t step);
inline constexpr std::size_t kTargetReports = 4;  ///< of the training loss: a lucky first batch is no model

}  // namespace sluice::server
