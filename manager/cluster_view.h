#pragma once
/// All that a policy may see, as plain values: recorded in the decision log, and enough to decide the same again. Nothing in it points anywhere. A job's values
/// change when something happens to it, and not because time goes on: so a round makes anew only what changed.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "manager/rate_model.h"

namespace sluice::manager {

/// What a host can give.
struct Capacity {
  double cores = 0;
  double memory_bytes = 0;  ///< 0: not known
  friend bool operator==(const Capacity&, const Capacity&) = default;
};

/// One worker: slots that may be granted.
struct HostView {
  WorkerId id;
  std::string name;
  std::uint32_t slots = 0;
  Capacity capacity;
  std::string owner;                        ///< empty: ours
  Instant loaned_until = Instant::never();  ///< never: not a loan
  double cost_per_slot_second = 0;
  double preemption_cost = 0;  ///< of taking a slot back, in slot-seconds
  friend bool operator==(const HostView&, const HostView&) = default;
};

enum class JobPhase : std::uint8_t {
  kWarmingUp = 0,  ///< fewer than two reports: nothing can be predicted
  kTraining = 1,
  kPlateau = 2,     ///< the loss has not fallen by more than its noise for a while
  kDiverging = 3,   ///< implausible reports, or a loss that jumped by orders of magnitude: parked at its minimum share
  kEvaluating = 4,  ///< training is over; the final held-out scores need a slot: finish it first
};

/// A point of the predicted drop: what `steps` more steps bring.
struct ForecastKnot {
  double steps = 0;
  double drop = 0;       ///< of the loss, ≥ 0, not decreasing over the knots
  double deviation = 0;  ///< standard deviation
  friend bool operator==(const ForecastKnot&, const ForecastKnot&) = default;
};

/// One job that has work: waiting, running, evaluating or paused.
struct JobView {
  JobId id;  ///< also the order of submission
  std::string name;
  std::string group;  ///< variants of one model; empty: none
  bool best = false;  ///< of its group only the best model counts
  double weight = 1;
  std::uint32_t slots_min = 0;
  std::uint32_t slots_max = 1;                                       ///< 0: it is paused and can use none, whatever its minimum
  std::uint32_t usable = std::numeric_limits<std::uint32_t>::max();  ///< more slots than this find no work (≥ 1)
  std::uint32_t slots = 0;                                           ///< granted now
  JobPhase phase = JobPhase::kWarmingUp;
  std::uint64_t reports = 0;  ///< that its predictor has heard: some of few examples are one
  double loss = 0;            ///< smoothed, now; 0 before the first report
  double level = 0;           ///< fitted, now: where a report is of many steps the smoothed loss is behind it; that loss where nothing is fitted
  double first_loss = 0;
  double floor = 0;            ///< L∞ predicted
  double normalized_loss = 1;  ///< (loss − floor) / (first − floor) in [0, 1]; 1 before the first report
  double largest_drop = 0;     ///< between two reports, so far: what SLAQ normalises with
  double steps_per_slot_second = 0;
  SpeedUp speed_up;                    ///< steps a second, and what they count, at any number of slots
  std::uint64_t step = 0;              ///< done
  double total_steps = 0;              ///< it is expected to take: as declared, or estimated; 0: not known
  bool declared = false;               ///< total_steps is what its run file asks for
  double prior_remaining = 1;          ///< T: remaining normalised loss of past jobs of its model at this share of their steps
  double prior_deviation = 0;          ///< between those jobs
  double prior_slope = 0;              ///< the steepest average fall of T from there to any later share, a step
  std::vector<ForecastKnot> forecast;  ///< by steps, from a first knot above 0; empty: no opinion
  std::vector<double> rungs;           ///< smoothed losses when it had done what rung_step() says, of those it has passed
  Instant waits_since;                 ///< while it holds no slot: when it last did (at first: its submission)
  Duration move_cost;                  ///< measured stall of moving a slot to this job
  double end_loss = 0;                 ///< predicted at total_steps; the floor where there is no prediction
  double end_deviation = 0;            ///< standard deviation of that; 0: not known
  double group_best = 0;               ///< the best smoothed loss of any member of its group so far, ended ones included; 0 without a group
  Instant submitted;
  Duration behind;              ///< its own schedule under fair sharing, where fairness is strict; below 0: ahead of it
  double attained = 0;          ///< slot-seconds so far
  std::int64_t rounding = 0;    ///< carried: millionths of a slot that rounding still owes it
  std::int64_t deficit_ns = 0;  ///< carried: slot-nanoseconds it is owed (> 0) or has had too many of
  Instant quantum_since;        ///< carried: when its running quantum began
  friend bool operator==(const JobView&, const JobView&) = default;
};

/// How much waiting counts beside loss, under policies that weigh it.
struct Fairness {
  double ageing = 0.03;  ///< ≥ 0: the remaining loss that a job's age counts for, an age of the usual time in system; by the index two thirds of it
  bool strict = false;   ///< it grows with the share of its age by which a job is behind its own fair schedule
  friend bool operator==(const Fairness&, const Fairness&) = default;
};
/// "strict", or a number from 0 (quality alone) to 1. Nothing: neither.
[[nodiscard]] std::optional<Fairness> parse_fairness(const std::string& text);
[[nodiscard]] std::string to_text(const Fairness& fairness);

struct ClusterView {
  Instant now;
  Duration elapsed;  ///< since the last round
  Duration round = from_ms(500);
  Duration quantum_min = from_ms(500);
  Fairness fairness;
  Duration usual_stay;        ///< S: a job's time in system, would slots be shared equally (FairShadow::usual_stay); 0: not known yet
  double usual_kappa = -1;    ///< contention (SpeedUp::kappa) as measured on all of this cluster's jobs; below 0: not known yet
  bool by_index = false;      ///< carried: jobs were served one after the other by an index in the decision before
  double usual_attained = 0;  ///< U: slot-seconds of a job (FairShadow::usual_attained); 0: not known yet
  std::vector<HostView> hosts;
  std::vector<JobView> jobs;
  friend bool operator==(const ClusterView&, const ClusterView&) = default;
};

/// Successive halving's rungs: the steps of the k-th, from 0 on: of a declared length 1/27, 1/9, 1/3, else 100 × 3ᵏ; after the last one 0.
inline constexpr double kRungFactor = 3;
[[nodiscard]] double rung_step(double declared_steps, std::size_t k);

/// Since it last held a slot, at first since its submission; 0 while it holds one.
[[nodiscard]] inline Duration waited(const ClusterView& view, const JobView& job) { return job.slots > 0 ? Duration{} : view.now - job.waits_since; }

/// Sum over the hosts.
[[nodiscard]] std::uint32_t slots_of(const ClusterView& view);

}  // namespace sluice::manager
