#pragma once
/// Pay for what is left, not for slope: the rule behind `sluice`, `progress` and `las`, which differ in what they listen to. At a steady price λ a slot, a job
/// whose n slots are worth n / (1 + κ (n − 1)) costs least with √(Q/λ) slots, whatever κ (dynamic programming: s(a)/s′(a) − a = q/λ, whose left side is
/// κ a²/(1 − κ)); where speed-up is linear, jobs are served one after the other by an index instead.

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

/// `name` outlives it.
[[nodiscard]] std::unique_ptr<Policy> make_share_rule(std::string_view name, Hearing hearing);

/// q as `hearing` has it, in [0, 1]. `usual`: slot-seconds that jobs have had on average.
[[nodiscard]] double remaining_loss(const JobView& job, Hearing hearing, double usual);
/// Of one slot alone, until its expected end; 0: not known.
[[nodiscard]] double remaining_slot_seconds(const JobView& job);
/// Standard deviation of the loss that it is predicted to end with; without a declared length that of the furthest forecast. 0: not known.
[[nodiscard]] double end_deviation(const JobView& job);

}  // namespace sluice::manager
