#pragma once
/// `slaq`: SLAQ's greedy (Zhang et al., SoCC'17, algorithm 1): everyone starts at one slot, then one slot at a time goes to the largest predicted normalised
/// loss reduction, anew each round. With fewer slots than jobs, a slot whose job's quantum has ended goes to the largest predicted normalised drop per
/// slot-second; jobs with fewer than five reports come first, by submission (docs/adr/0008, 0009), then jobs that waited so long that what is predicted of them
/// is old (docs/adr/0006).

#include <cstdint>
#include <memory>

#include "manager/policy.h"

namespace sluice::manager {

/// What a predicted drop is divided by, to compare jobs.
enum class SlaqScale : std::uint8_t {
  kRange,        ///< first loss − predicted floor: in a replay of real curves better than the authors' (time to 95 %: 16.1 → 13.9 s)
  kLargestDrop,  ///< the authors': the largest change so far
};

[[nodiscard]] std::unique_ptr<Policy> make_slaq_policy(SlaqScale scale = SlaqScale::kRange);
/// `slaq-maxmin`: the authors' other objective: the same, but a slot goes to the job whose normalised loss (times its weight) is predicted to be the worst at
/// the end of its quantum with the slots given so far, as long as a further slot is predicted to lower it at all.
[[nodiscard]] std::unique_ptr<Policy> make_slaq_maxmin_policy();

}  // namespace sluice::manager
