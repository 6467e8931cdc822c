#pragma once
/// A job's loss curve in bounded memory: recent points as they came, older ones thinned by powers of two. Kept by the job home and by the manager; whole life
/// of the job.

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
  /// Keeps at most `points_max` points (≥ 16): when full, neighbouring points of the older half are merged in pairs (weighted means).
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
