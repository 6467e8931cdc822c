#pragma once
/// Why one job has no more than it has: what its next slot would be worth, who holds what it lacks, and what would change that. The last is told by asking the
/// policy again, on the view of the last round with one thing changed. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "manager/cluster_view.h"
#include "manager/policy.h"

namespace sluice::manager {

/// What a job would have: whole slots, and its entitlement before rounding.
struct Standing {
  std::uint32_t slots = 0;
  double share = 0;
};

struct WhatIf {
  std::string what;  ///< a code: "weight", "slots.max", "job_ended", "one_more_slot"
  std::string sentence;
  Standing standing;
};

struct Counterfactual {
  Standing now;  ///< asked again with every quantum over: what these compare to
  std::vector<WhatIf> changes;
};
/// The smallest of some weights that brings it more, what it would have without each of `rivals` (3 at most), and with one worker slot more in the cluster; its
/// own limits, where they bind. Those that would bring it nothing are left out. Asks the policy up to 11 times. Empty where the view has no such job.
[[nodiscard]] Counterfactual what_would_change(const Policy& policy, const ClusterView& view, JobId job, const std::vector<JobId>& rivals);

/// Normalised loss that one more slot would bring a job in its next quantum, a second of it, by its forecast; nothing where there is no forecast.
[[nodiscard]] std::optional<double> next_slot_gain(const ClusterView& view, const JobView& job, std::uint32_t slots);

/// Under the √ rule (share = √(index / price)): the price at which a job's share would be one slot more. Nothing where its share does not follow that rule:
/// other policies, a share at its minimum or maximum.
[[nodiscard]] std::optional<double> price_for_one_more(double price, double index, double share);

}  // namespace sluice::manager
