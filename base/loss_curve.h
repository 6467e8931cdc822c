#pragma once
/// A job's loss curve in bounded memory: the first point and recent ones as they came, those between merged where they lie closest, by their steps and by the
/// steps' logarithm. Kept by the job home and by the manager; whole life of the job.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// Means over the batches committed since the point before.
struct LossPoint {
  std::uint64_t step = 0;      ///< batches committed by the job so far
  std::uint64_t examples = 0;  ///< examples committed so far
  double seconds = 0;          ///< since the job's first commit, monotonic
  double loss = 0;             ///< mean loss an example over the window
  double spread = 0;           ///< standard deviation of the loss between batches of the window
  std::uint64_t weight = 0;    ///< examples in the window
  friend bool operator==(const LossPoint&, const LossPoint&) = default;
};

class LossCurve {
 public:
  /// Keeps at most `points_max` points (≥ 16). When full, of those between the first and the newest quarter neighbours are merged (weighted means) until half
  /// as many as points_max are left at most: half of these evenly apart in steps, for a curve is asked for its last part, and half evenly in the logarithm of
  /// the steps, for losses fall the fastest at first. What a point speaks for never grows beyond what lies there.
  explicit LossCurve(std::size_t points_max = 256);
  /// point.step must exceed the last one's; points that don't, and non-finite losses, are dropped. Returns whether it was kept.
  bool add(const LossPoint& point);
  [[nodiscard]] std::span<const LossPoint> points() const { return points_; }
  [[nodiscard]] bool empty() const { return points_.empty(); }
  [[nodiscard]] const LossPoint& last() const { return points_.back(); }

 private:
  void thin();
  std::size_t points_max_;
  std::vector<LossPoint> points_;
};

}  // namespace sluice
