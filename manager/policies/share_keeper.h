#pragma once
/// The √ rule from round to round: what share_rule.cc decides, for very many jobs of which few changed. Where another rule decides (jobs served by an index,
/// strict fairness, groups of which the best counts, minimums that do not fit), it says so and leaves that round to Policy::decide.

#include <memory>

#include "manager/policies/share_rule.h"
#include "manager/policy.h"

namespace sluice::manager {

/// Null for a hearing whose remaining loss every round changes.
[[nodiscard]] std::unique_ptr<Incremental> make_share_keeper(Hearing hearing);

}  // namespace sluice::manager
