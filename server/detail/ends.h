#pragma once
/// When a job has had enough training: its loss does not fall any more, or it has reached its target. Pure.

#include <cstdint>
#include <span>
#include <string>

#include "base/loss_curve.h"
#include "proto/job_spec.h"

namespace sluice::server {

/// Of a loss curve's newest part, in two halves of as many steps each: how much lower the newer half's mean is.
struct Flatness {
  double fall = 0;   ///< of the mean loss
  double error = 0;  ///< standard error of `fall`, from how the reports scatter about their half's mean
  double range = 0;  ///< what the loss fell in all, from the first report to the newer half's mean; at least kFlatLevel of the first loss
  std::uint64_t steps = 0;
  bool enough = false;     ///< reports to say anything
  bool converged = false;  ///< fall + kFlatErrors × error < kFlatShare × range
};
inline constexpr double kFlatPart = 0.4;     ///< of the job's steps so far
inline constexpr double kFlatShare = 0.005;  ///< of the range
inline constexpr double kFlatLevel = 0.01;
inline constexpr double kFlatErrors = 3;
inline constexpr std::size_t kFlatReports = 8;  ///< in each half
/// A report weighs what it has examples.
[[nodiscard]] Flatness flatness(std::span<const LossPoint> curve);
/// "converged: over the last 40 % of its 2000 steps …", or empty.
[[nodiscard]] std::string converged_words(std::span<const LossPoint> curve);

/// The loss as people are shown it: each report weighs one half against those before. 0 for none.
[[nodiscard]] double smoothed_loss(std::span<const LossPoint> curve);
/// "target reached: loss <= 0.35: 0.3493 after 2000 steps", or empty. `value`: of what the target is about.
[[nodiscard]] std::string reached_words(const proto::TargetSpec& target, double value, std::uint64_t step);
inline constexpr std::size_t kTargetReports = 4;  ///< of the training loss: a lucky first batch is no model

}  // namespace sluice::server
