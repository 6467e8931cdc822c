#pragma once
/// Groups of which only the best model counts (`objective: best`): what `sluice` makes of them. A group costs ∫ (its best loss so far − where it ends) dt, so
/// members are compared by the mean of the group's best over a window ahead, as long as the member that is foretold to end lowest is in all, if one of them
/// had one slot throughout. Who has the lowest such mean leads. While it waits, all that it still brings is late: a slot-second for another costs what the
/// leader takes off the group's best by the window's end. For that it buys a look, and a look is worth the window × E[(the leader's mean − the other's)⁺] (the
/// value of information: Howard 1966; of which, of ends, the expected improvement of Jones, Schonlau, Welch 1998 is a case). An index is the worth of a look
/// over its price, times the leader's own. Where gradients of several slots are stale the leader has no more slots than its end is worth.

#include <cstdint>
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
  bool first = false;       ///< it serves, and nobody of its group was heard yet
  double remaining = 1;     ///< of the group's loss, 0 … 1
  double value = 0;         ///< what its end is worth to the group: of the leader `remaining`, of others `improvement`
  double index = 0;         ///< expected fall of the group's normalised best loss a slot-second
  double improvement = 0;   ///< expected, on the group's best over the window, as a share of the group's range
  std::uint32_t slots = 0;  ///< of the leader: more than so many would make its gradients too stale; 0: any number is fine
  double look = 0;          ///< slot-seconds after which it will have told more: more slots at once than that takes are not worth it; 0: any number is
};
/// One a claim, in their order.
[[nodiscard]] std::vector<GroupPlace> places_in_groups(const ClusterView& view, std::span<const Claim> claims);

}  // namespace sluice::manager
