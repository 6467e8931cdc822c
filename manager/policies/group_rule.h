#pragma once
/// Groups of which only the best model counts (`objective: best`): what `sluice` makes of them. One member leads: the one with the lowest predicted final loss;
/// what it still takes off the group's best loss is the group's remaining loss. Each is worth what it takes off the group's best loss on the best stretch
/// ahead, so that a short member may come first, and what it may improve on the leader's predicted end: with z = (leader's end − their own) / σ, σ² the sum of
/// both forecasts' variances, the expected improvement is σ (φ(z) + z Φ(z)) (Jones, Schonlau, Welch 1998), paid for over the steps that would tell: as many as
/// they have done, a 27th of all at least.

#include <span>
#include <vector>

#include "manager/cluster_view.h"
#include "manager/policies/claims.h"

namespace sluice::manager {

/// Of one claim.
struct GroupPlace {
  bool member = false;  ///< of such a group
  bool serves = false;  ///< the member to which the group's slots go first
  bool leads = false;
  double remaining = 1;    ///< of the group's loss, 0 … 1
  double value = 0;        ///< what its end is worth to the group: of the leader `remaining`, of others `improvement`
  double index = 0;        ///< expected fall of the group's normalised best loss a slot-second
  double improvement = 0;  ///< expected, on the leader's end, as a share of the group's range
};
/// One a claim, in their order.
[[nodiscard]] std::vector<GroupPlace> places_in_groups(std::span<const Claim> claims);

}  // namespace sluice::manager
