#pragma once
/// What n worker slots are worth to a job: s(n), with s(1) = 1. Immutable values.

#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::sim {

class Speedup {
 public:
  /// s(n) = n.
  Speedup() = default;
  /// s(n) = n / (1 + kappa (n − 1)): Amdahl-like contention. REQUIRES: kappa ≥ 0.
  [[nodiscard]] static Speedup concave(double kappa);
  /// "linear", "concave:K", or "table:FILE": a CSV with a header, with the columns slots and speedup, or num_replicas (or slots), step_time and perhaps
  /// local_bsz, of which the examples a second are taken, the most over all batches; of several rows of a number of slots the fastest. Straight lines between
  /// the table's points; beyond the last one the speed-up of the last one; before the first a line from the first towards 0 slots.
  /// Errors: kBadConfig (no such form), kBadData naming file and line.
  [[nodiscard]] static Result<Speedup> parse(const std::string& text);

  /// REQUIRES: n ≥ 0. s(0) = 0.
  [[nodiscard]] double at(double n) const;
  [[nodiscard]] bool linear() const { return kappa_ == 0 && table_.empty(); }

 private:
  struct Point {
    double slots = 0, speed = 0;
  };
  double kappa_ = 0;
  std::vector<Point> table_;  ///< by slots
};

}  // namespace sluice::sim
