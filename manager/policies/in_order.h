#pragma once
/// One after the other: jobs served in descending order of an index, each up to its maximum. What `sluice` does where speed-up is linear, and what `fifo` and
/// `srtf` do always.

#include <memory>
#include <span>
#include <string_view>

#include "manager/policies/claims.h"
#include "manager/policy.h"

namespace sluice::manager {

/// How a slot that a job holds is defended.
struct Defence {
  double quantum = 2;    ///< while the job's quantum runs only a job whose index is so many times as large takes it; with fewer slots than jobs none does
  double margin = 0.02;  ///< afterwards, of the index: a share, on top of which comes what the move costs, there and back, of the time until the next round
};

/// Fills Claim::slots: Claim::base first, then in descending order of `index` (≥ 0, one a claim; ties by job). `stale`: a job's second and further slots count
/// as SpeedUp::worth says, less than its first, as their gradients are stale; in the last tenth of its steps they count nothing. REQUIRES: the bases add up to
/// the slots at most. Returns the index of the last slot that was given away.
double serve_in_order(const ClusterView& view, std::span<Claim> claims, std::span<const double> index, const Defence& defence, bool stale = false);

/// Slots beside the minimums and, with fewer slots than jobs, beside what is held while a quantum runs: what bases may be raised by.
[[nodiscard]] std::uint32_t room_for_bases(const ClusterView& view, std::span<const Claim> claims);

/// First come, first served.
[[nodiscard]] std::unique_ptr<Policy> make_fifo_policy();
/// The shortest predicted remaining time first (with weights: weight over remaining time), at the rate that a job would have with all that it may use. A job
/// whose rate is not known yet comes before all others with one slot, so that it is.
[[nodiscard]] std::unique_ptr<Policy> make_srtf_policy();

}  // namespace sluice::manager
