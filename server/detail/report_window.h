#pragma once
/// What a job home gathers between two reports. One thread.

#include <cstdint>

#include "base/clock.h"
#include "base/loss_curve.h"
#include "proto/messages.h"

namespace sluice::server {

class ReportWindow {
 public:
  /// A batch was committed; `staleness` in steps.
  void add(const proto::Commit& commit, std::uint64_t staleness, Instant now);
  /// Slot time outside of batches (evaluation).
  void add_slot_seconds(double seconds, Instant now);
  /// Something to report; `at_once` where waiting for the next report would delay decisions.
  void touch(bool at_once);
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] bool urgent() const { return urgent_; }
  /// Fills the window's fields and those totals that are kept here.
  void fill(proto::JobReport& report) const;
  /// The window as a point of the loss curve. REQUIRES: has_steps().
  [[nodiscard]] LossPoint point(std::uint64_t step, std::uint64_t examples) const;
  [[nodiscard]] bool has_steps() const { return steps_ > 0; }
  /// Begins the next window; totals stay.
  void close();
  [[nodiscard]] double slot_seconds() const { return slot_seconds_; }
  /// From the job's first commit to its last, what was before it was restored included.
  [[nodiscard]] double seconds() const { return before_ + (first_ == Instant::never() ? 0 : (last_ - first_).seconds()); }
  /// Totals of the job before it was restored.
  void restore(double slot_seconds, double seconds) { slot_seconds_ = slot_seconds, before_ = seconds; }

 private:
  bool changed_ = false;
  bool urgent_ = false;
  // of the window
  std::uint64_t steps_ = 0;
  std::uint64_t examples_ = 0;
  std::uint64_t staleness_ = 0;
  double loss_sum_ = 0;
  double loss_squares_ = 0;
  double batch_means_ = 0;
  double batch_mean_squares_ = 0;
  // of the job
  double slot_seconds_ = 0;
  double before_ = 0;  ///< seconds
  Instant first_ = Instant::never();
  Instant last_{};
};

}  // namespace sluice::server
