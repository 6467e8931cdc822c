#pragma once
/// Whether a job's loss still falls: the rule by which a job home, or a simulation, ends a job that is to end when it has converged. Pure.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/loss_curve.h"

namespace sluice {

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

}  // namespace sluice
