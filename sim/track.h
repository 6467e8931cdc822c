#pragma once
/// One simulated job under way: exact progress between events, and what its home reports.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "base/loss_curve.h"
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
  /// Why it did. REQUIRES: ended.
  [[nodiscard]] const std::string& ended_words() const { return ended_words_; }
  [[nodiscard]] double step() const { return step_; }
  /// How far it is along its curve, in steps: less than step() where gradients were stale.
  [[nodiscard]] double place() const { return place_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  [[nodiscard]] double normalized_loss() const { return job_.curve.normalized(place_); }
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
  /// What its home says now; nothing if there is no whole step more than in the report before. An undeclared job that has converged by what its home has heard
  /// (base/convergence.h) ends with it.
  [[nodiscard]] std::optional<proto::JobReport> report(Rng& rng);
  /// Integral of the normalised loss since the call before, over time.
  [[nodiscard]] double take_area();

 private:
  [[nodiscard]] double rate() const;       ///< steps a second
  [[nodiscard]] double staleness() const;  ///< of a step now, in steps
  [[nodiscard]] double fresh() const;      ///< what a step counts along the curve now: (0, 1]
  void pass_marks(double from, double began, double rate);
  void judge(const proto::JobReport& report);
  void end(double seconds, std::string words);

  const SimJob& job_;
  const SimOptions& options_;
  JobId id_;
  Instant arrived_, at_;
  double step_ = 0, reported_ = 0;
  double place_ = 0, place_reported_ = 0;
  double stale_ = 0, stale_from_ = 0;  ///< staleness summed over the steps, and parts of steps, since the report; where that was
  std::uint32_t slots_ = 0;
  double stall_ = 0;  ///< slot-seconds that its moves still cost
  double slot_seconds_ = 0;
  std::optional<Instant> first_commit_;
  std::size_t early_ = 0;  ///< of the early reports, done
  bool ended_ = false;
  std::string ended_words_;
  LossCurve heard_;  ///< of an undeclared job, as its home keeps it
  double area_seen_ = 0;
  std::array<double, 5> marks_{};  ///< steps at which 50, 75, 90, 95 and 99 % of the fall are reached
  JobResult result_;
};

}  // namespace sluice::sim
