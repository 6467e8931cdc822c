#pragma once
/// Pay for what is left, not for slope: the rule behind `sluice`, `progress` and `las`, which differ in what they listen to. At a steady price λ a slot, a job
/// whose n slots are worth n / (1 + κ (n − 1)) costs least with √(Q/λ) slots, whatever κ (dynamic programming: s(a)/s′(a) − a = q/λ, whose left side is
/// κ a²/(1 − κ)); where speed-up is linear, jobs are served one after the other by an index instead.

#include <algorithm>
#include <cstdint>
#include <memory>

#include "manager/policy.h"

namespace sluice::manager {

/// What the remaining loss q, from 1 to 0, is told from.
enum class Hearing : std::uint8_t {
  kLoss,      ///< the reported losses and past jobs' curves: √q = w √T + (1 − w) √q_fit, w by both's variances
  kProgress,  ///< declared progress alone: T, what past jobs had left there
  kAttained,  ///< service so far alone: 1 / (1 + attained / usual)
};

/// What both ways of deciding by the rule (share_rule.cc, share_keeper.cc) share.
struct RootWorth {
  static constexpr double kLeast = 1e-6, kStrict = 4;
  explicit RootWorth(const ClusterView& view) : now(view.now), stay(view.usual_stay.seconds()), fairness(view.fairness) {}
  /// What waiting adds to the remaining loss: it grows with the square of a job's age, so that who has waited as long as is usual hardly notices, the last ones
  /// do. Where fairness is strict, with the share of its age by which a job is behind its fair schedule. `behind`: JobView's.
  [[nodiscard]] double ageing(Instant submitted, Duration behind) const {
    const double age = (now - submitted).seconds();
    if (fairness.strict) return age > 0 ? kStrict * std::clamp(behind.seconds() / age, 0.0, 1.0) : 0;
    return stay > 0 ? fairness.ageing * (age / stay) * (age / stay) : 0;
  }
  /// Q: what a share goes by the root of.
  [[nodiscard]] static double worth(double weight, double remaining, double aged) { return weight * std::max(remaining + aged, kLeast); }
  Instant now;
  double stay;
  Fairness fairness;
};
/// Speed-up is so close to linear that jobs are served one after the other instead. With hysteresis: measurements near a limit do not make the rule change to
/// and fro. `stall`: the costs of a move, in s, of the `jobs` that can use slots, added up.
[[nodiscard]] bool near_linear(const ClusterView& view, std::uint32_t slots, double stall, double jobs);

/// `name` outlives it.
[[nodiscard]] std::unique_ptr<Policy> make_share_rule(std::string_view name, Hearing hearing);

/// q as `hearing` has it, in [0, 1]. `usual`: slot-seconds that jobs have had on average.
[[nodiscard]] double remaining_loss(const JobView& job, Hearing hearing, double usual);
/// Steps a slot-second of one slot alone; 0: not known yet.
[[nodiscard]] double rate_alone(const JobView& job);
/// Of one slot alone at `rate`, until its expected end; 0: not known.
[[nodiscard]] double remaining_slot_seconds(const JobView& job, double rate);
/// Standard deviation of the loss that it is predicted to end with; without a declared length that of the furthest forecast. 0: not known.
[[nodiscard]] double end_deviation(const JobView& job);

}  // namespace sluice::manager
