#pragma once
/// How good a job was, when: smoothing, time to 90 %, recent fall, loss-seconds. Used by summary.json; `compare` recomputes the same over a common reference.
/// Pure.

#include <optional>
#include <span>
#include <vector>

#include "base/loss_curve.h"

namespace sluice::manager {

/// What one report weighs against the smoothed loss before it.
inline constexpr double kSmoothing = 0.5;
[[nodiscard]] inline double smooth(double before, double loss) { return before + kSmoothing * (loss - before); }

/// The smoothed loss at each point; begins at the first loss.
[[nodiscard]] std::vector<double> smoothed(std::span<const LossPoint> points);

/// The best smoothed loss: the lowest mean of kBestReports reports in a row (of all, where there are fewer), each weighing what it has examples. A single lucky
/// report near a noisy floor is not a level that anything could be asked to reach again. 0 for no points.
inline constexpr std::size_t kBestReports = 10;
[[nodiscard]] double best_level(std::span<const LossPoint> points);

/// Seconds (as the points count them) until the smoothed loss is first ≤ first − fraction × (first − best). Nothing if it never is, or if best ≥ first.
[[nodiscard]] std::optional<double> seconds_to_fraction(std::span<const LossPoint> points, double first, double best, double fraction);

/// How far the loss fell over the last `steps` steps, without a model: by the slope between the newer and the older half of the newest 2 × `steps` steps'
/// reports (of fewer steps, and then for so many, where the curve or its newest kFallReports points are shorter), each report weighing what it has examples.
/// ≥ 0.
inline constexpr std::size_t kFallReports = 64;
[[nodiscard]] double recent_fall(std::span<const LossPoint> points, double steps);

/// ∫ q dt from 0 to `until`, with q = clip((loss − best) / (first − best), 0, 1): 1 before the first point, held after the last; a curve that never falls has q
/// = 1 throughout.
[[nodiscard]] double loss_seconds(std::span<const LossPoint> points, double first, double best, double until);

}  // namespace sluice::manager
