#pragma once
/// How good a job was, when: smoothing, time to 90 %, expected fall, loss-seconds. Used by summary.json; `compare` recomputes the same over a common reference.
/// Pure.

#include <optional>
#include <span>
#include <vector>

#include "base/loss_curve.h"

namespace sluice::manager {

/// A smoothed loss: each report weighs against what was smoothed before what it has examples against what reports usually have: as many weigh a half. So a
/// report of a single batch, as the first after a move is, moves it by little: it says little more than what that batch happened to hold.
class SmoothLoss {
 public:
  /// A report's mean over `examples` (of less than one as of one). The first one is taken as it is.
  void add(double loss, double examples);
  [[nodiscard]] double loss() const { return loss_; }
  /// Examples of a report, in a mean that forgets; 0: not known.
  [[nodiscard]] double usual() const { return usual_; }

 private:
  double loss_ = 0, usual_ = 0;
  bool begun_ = false;
};

/// The smoothed loss at each point; begins at the first loss.
[[nodiscard]] std::vector<double> smoothed(std::span<const LossPoint> points);

/// The best smoothed loss: the lowest mean of kBestReports reports in a row (of all, where there are fewer), each weighing what it has examples. A single lucky
/// report near a noisy floor is not a level that anything could be asked to reach again. 0 for no points.
inline constexpr std::size_t kBestReports = 10;
[[nodiscard]] double best_level(std::span<const LossPoint> points);

/// What the loss came to: the mean over the newest reports that hold the last tenth of the examples (one at least), each weighing what it has examples. The
/// smoothed loss still holds much of the first one where a job is over after a few reports. 0 for no points.
[[nodiscard]] double final_level(std::span<const LossPoint> points);

/// A smoothed loss, and when it was reached.
struct Level {
  double seconds = 0;
  double loss = 0;
};
/// A level for each point.
[[nodiscard]] std::vector<Level> levels_of(std::span<const LossPoint> points);

/// The curve of one of a group's jobs.
struct GroupMember {
  double since = 0;  ///< added to its seconds, so that all count from one moment
  std::span<const LossPoint> points;
};
/// The best smoothed loss that any member had so far: a level wherever it falls, by time. Losses that are not finite are left out.
[[nodiscard]] std::vector<Level> best_of(std::span<const GroupMember> members);

/// Seconds (as the points count them) until the smoothed loss is first ≤ first − fraction × (first − best). Nothing if it never is, or if best ≥ first.
[[nodiscard]] std::optional<double> seconds_to_fraction(std::span<const LossPoint> points, double first, double best, double fraction);
[[nodiscard]] std::optional<double> seconds_to_fraction(std::span<const Level> levels, double first, double best, double fraction);

/// How far the loss can be expected to fall over the next `steps` steps, if it goes on as c + d/step does through the older and the newer half of the reports
/// since half of the job's steps (two at least; each weighs what it has examples). Of fewer, what is said of a long job whose reports scatter is all noise,
/// many times what comes. Curves that fall like a lower power of the steps, as losses do, fall further. 0 for less than three reports, or where the loss does
/// not fall.
[[nodiscard]] double expected_fall(std::span<const LossPoint> points, double steps);
/// The same for many counts of steps.
struct ExpectedFall {
  double scale = 0, now = 1;
  explicit ExpectedFall(std::span<const LossPoint> points);
  [[nodiscard]] double after(double steps) const { return scale * steps / (now * (now + steps)); }
};

/// ∫ q dt from 0 to `until`, with q = clip((loss − best) / (first − best), 0, 1): 1 before the first point, held after the last; a curve that never falls has q
/// = 1 throughout.
[[nodiscard]] double loss_seconds(std::span<const LossPoint> points, double first, double best, double until);
[[nodiscard]] double loss_seconds(std::span<const Level> levels, double first, double best, double until);

}  // namespace sluice::manager
