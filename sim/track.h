#pragma once
/// One simulated job under way: exact progress between events, and what its home reports.

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/ids.h"
#include "base/rng.h"
#include "proto/messages.h"
#include "sim/simulation.h"

namespace sluice::sim {

class Track {
 public:
  /// `job` and `options` outlive it. `start`: of the simulation.
  Track(const SimJob& job, const SimOptions& options, Instant start);

  [[nodiscard]] const SimJob& job() const { return job_; }
  [[nodiscard]] Instant arrives() const { return arrived_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] double step() const { return step_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  [[nodiscard]] double normalized_loss() const { return job_.curve.normalized(step_); }
  [[nodiscard]] const JobResult& result() const { return result_; }

  /// It has arrived as that job.
  void begin(JobId id) { id_ = id; }
  [[nodiscard]] JobId id() const { return id_; }  ///< 0: has not arrived
  /// Gives it so many slots from now on; those that come cost their move.
  void set_slots(std::uint32_t slots);
  /// Goes on to `to`. REQUIRES: to ≥ the time before, and ≤ next().
  void advance(Instant to);
  /// When it ends, or has one of the steps after which its home reports at once, if nothing changes.
  [[nodiscard]] Instant next() const;
  /// It just had a step after which its home reports at once.
  [[nodiscard]] bool early_report_due() const;
  /// What its home says now; nothing if there is no whole step more than in the report before.
  [[nodiscard]] std::optional<proto::JobReport> report(Rng& rng);
  /// Integral of the normalised loss since the call before, over time.
  [[nodiscard]] double take_area();

 private:
  [[nodiscard]] double rate() const;  ///< steps a second
  void pass_marks(double from, double began, double rate);

  const SimJob& job_;
  const SimOptions& options_;
  JobId id_;
  Instant arrived_, at_;
  double step_ = 0, reported_ = 0;
  std::uint32_t slots_ = 0;
  double stall_ = 0;  ///< slot-seconds that its moves still cost
  double slot_seconds_ = 0;
  std::optional<Instant> first_commit_;
  std::size_t early_ = 0;  ///< of the early reports, done
  bool ended_ = false;
  double area_seen_ = 0;
  std::array<double, 5> marks_{};  ///< steps at which 50, 75, 90, 95 and 99 % of the fall are reached
  JobResult result_;
};

}  // namespace sluice::sim
