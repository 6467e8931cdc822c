#pragma once
/// What a job's next worker slot brings: steps a second against slots, and what a step is worth where gradients are stale. Learnt from reports, in bounded
/// memory and O(1) a report. One thread; an object belongs to one job.

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice::manager {

/// A job's speed-up as plain values: enough for a policy to decide, and to decide the same again. All zero: not known.
/// Rate (Amdahl's law): n slots do alone × n / (1 + kappa (n − 1)) steps a second: slot-seconds a step grow linearly with the slots. Concave, never falling.
/// Efficiency: a step at mean staleness s brings 1 / (1 + penalty × s) of a fresh one; staleness is staleness_per_slot × (n − 1) with n slots.
struct SpeedUp {
  double alone = 0;               ///< steps a second of one slot
  double kappa = 0;               ///< contention, 0 … 1
  double staleness_per_slot = 0;  ///< steps
  double penalty = 0;             ///< ≥ 0, a step of staleness
  /// Steps a second with `slots` ≥ 0 slots; below one slot: that share of the time with one.
  [[nodiscard]] double rate(double slots) const;
  /// What a step with `slots` slots brings, against one of one slot: (0, 1].
  [[nodiscard]] double efficiency(double slots) const;
  /// rate × efficiency: steps a second as they count for the loss.
  [[nodiscard]] double progress(double slots) const { return rate(slots) * efficiency(slots); }
  /// What each of the slots from `from` + 1 to `to` brings in the mean, in parts of the first one, would contention not be: below 1 for what staleness takes.
  /// REQUIRES: from < to.
  [[nodiscard]] double worth(std::uint32_t from, std::uint32_t to) const { return (to * efficiency(to) - from * efficiency(from)) / (to - from); }
  friend bool operator==(const SpeedUp&, const SpeedUp&) = default;
};

/// What one job's reports say of kappa: `weight` is the inverse of its variance. Two counts of slots a and b say log((1 + κ (b − 1)) / (1 + κ (a − 1))), as
/// unsure as reports are and as what else a machine does changes from one time to another, which no number of reports takes away: so counts that hardly differ
/// say next to nothing, however long each was seen.
struct Evidence {
  double weight = 0;
  double kappa = 0;  ///< −1 … 1; below 0 where more slots seemed to make each faster: half of what is noise about 0
};

/// The contention of a whole cluster's jobs: the mean of what they say, each weighing what its evidence is worth. One job alone has seen too few counts of
/// slots most of the time, and then its slope is its prior's. One thread.
class KappaPool {
 public:
  /// Before what live jobs say is added again.
  void begin() { live_ = {}; }
  void add(const Evidence& evidence) { take(live_, evidence); }
  /// What a job that ended had to say is kept, and forgotten over a hundred others.
  void keep(const Evidence& evidence);
  /// Below 0: not known, which is that what is left of each slot at `slots`, 1 / (1 + κ slots), would be told with a deviation of more than an eighth.
  [[nodiscard]] double kappa(double slots) const;

 private:
  struct Sum {
    double weight = 0, kappa = 0;
  };
  static void take(Sum& sum, const Evidence& evidence) { sum.weight += evidence.weight, sum.kappa += evidence.weight * evidence.kappa; }
  Sum live_, ended_;
};

/// Fits SpeedUp. The rate: slot-seconds a step against slots − 1, a line through sums that forget by time at work, values ≥ 0; reports far off it count less;
/// the newest reports set the level, the older ones the slope. Until a second count of slots was seen, the slope is a prior's. The penalty: see progressed().
class RateModel {
 public:
  /// `prior_kappa`: what to expect before this job was seen with different counts of slots, e.g. the mean over this cluster's other jobs.
  explicit RateModel(double prior_kappa = 0.02) : prior_kappa_(prior_kappa) {}

  /// A report's window: `steps` steps took `slot_seconds` of worker slots' time within `seconds` (so slot_seconds / seconds slots were at work), at a mean
  /// staleness of `staleness` steps. Nonsense (not finite, not positive; staleness negative or above a million) is left out and counted.
  void observe(double steps, double slot_seconds, double seconds, double staleness);
  /// A window in which the count of slots changed, from 1 to `most` as far as is known: it tells the level, where that hardly depends on the count, and nothing
  /// else. Nonsense is left out and counted.
  void follow(double steps, double slot_seconds, double most);
  /// How the loss went, against what was forecast from reports at staleness `before`: it fell by `actual` where `predicted` ± `deviation` was expected, at
  /// staleness `now`. Where staleness did not change nothing can be learnt from it. Nonsense is left out and counted.
  void progressed(double predicted, double deviation, double actual, double before, double now);

  /// Something was observed.
  [[nodiscard]] bool ready() const { return steps_ > 0; }
  [[nodiscard]] SpeedUp speed_up() const;
  /// Standard deviation of one report's rate about the model, as a share of the rate.
  [[nodiscard]] double spread() const;
  /// Different counts of slots were seen: kappa is measured, not the prior's.
  [[nodiscard]] bool kappa_measured() const;
  /// Steps of staleness that each slot beside the first added, no prior in it; nothing: it had one slot for nearly all of the time.
  [[nodiscard]] std::optional<double> staleness_measured() const;
  /// What this job alone says of its contention, no prior in it; weight 0: nothing.
  [[nodiscard]] Evidence evidence() const;
  /// What to expect from now on where few counts of slots were seen; as in the constructor.
  void expect(double kappa) { prior_kappa_ = kappa; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  struct Line {
    double base = 0, slope = 0;  ///< slot-seconds a step: base + slope × (slots − 1)
  };
  [[nodiscard]] Line line() const;

  double prior_kappa_;
  std::uint64_t left_out_ = 0;
  // Sums that forget: weight is slot-seconds' share of a report, x = slots − 1, y = slot-seconds a step.
  double weight_ = 0, x_ = 0, xx_ = 0, y_ = 0, xy_ = 0;
  // The same with a report's seconds as its weight: for what counts of slots tell of kappa, an hour with many is no more than one with few.
  double seconds_ = 0, sx_ = 0, sxx_ = 0, sy_ = 0, sxy_ = 0, reports_ = 0;
  double level_ = 0;                         ///< log of what the newest reports took over what the line says
  double squares_ = 0, squares_weight_ = 0;  ///< of relative residuals
  double steps_ = 0;                         ///< ever
  double stale_xx_ = 0, stale_xy_ = 0;       ///< staleness against slots − 1
  double gain_xx_ = 0, gain_xy_ = 0;         ///< penalty: log of expected over actual, against staleness that came on top
};

}  // namespace sluice::manager
