#pragma once
/// Where the members of a group of which only the best counts are foretold to end, from three kinds of evidence: how steeply a member falls, what past jobs had
/// left, and how it stands beside the others at equal steps. One thread; nothing is kept.

#include <cmath>
#include <span>
#include <vector>

#include "manager/cluster_view.h"

namespace sluice::manager {

/// The least part of all steps that tells something of a member's end: ASHA's first rung.
inline constexpr double kTellingShare = 27;

/// To single precision: a logarithm's last bits may differ between C libraries, and in one library between processors with and without fused multiply-add; a
/// recorded round is to be decided again to the last byte anywhere (docs/adr/0016). Square roots are the same everywhere.
[[nodiscard]] inline double log_of(double x) { return static_cast<double>(static_cast<float>(std::log(x))); }

/// Steps that a member is expected to take in all, at least one more than it has taken.
[[nodiscard]] double steps_of(const JobView& job);

/// One report may be of a single batch, and shows no fall.
[[nodiscard]] inline bool was_heard(const JobView& job) { return job.reports >= 2; }

/// It has gone so far that its curve tells something of its end: in the first steps all look alike.
[[nodiscard]] inline bool has_told(const JobView& job) { return was_heard(job) && kTellingShare * static_cast<double>(job.step) >= steps_of(job); }

struct End {
  double loss = 0;
  double deviation = 0;  ///< standard; 0: as sure as only a yardstick is, or, of one that was not heard, nothing is foretold
};

/// One a member, in their order.
[[nodiscard]] std::vector<End> ends_of(std::span<const JobView* const> members);

}  // namespace sluice::manager
