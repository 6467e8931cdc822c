#pragma once
/// What policies have in common: what each job may claim, weighted shares, quanta, deficits, and reading a forecast.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "manager/cluster_view.h"
#include "manager/policy.h"

namespace sluice::manager {

/// One job's claim on slots in this round.
struct Claim {
  const JobView* job = nullptr;
  std::uint32_t min = 0;   ///< kept whatever the policy thinks; an evaluating job's is at least 1
  std::uint32_t max = 0;   ///< 0: paused
  std::uint32_t full = 0;  ///< max, or what a parked job may have of slots that nobody else can use
  bool parked = false;
  double share = 0;             ///< weighted fair share of the slots, min ≤ share ≤ max
  std::int64_t deficit_ns = 0;  ///< the view's, brought up to now
  bool quantum_over = true;
  std::uint32_t base = 0;   ///< for a policy: what is not up for auction
  bool overdue = false;     ///< for a policy: it waited so long that its turn comes whatever is predicted
  std::uint32_t slots = 0;  ///< the answer
};

/// By job id. Minimums are cut (evaluating jobs first, then by submission) where they add up to more than the slots. Shares, deficits and quanta are filled in;
/// slots = 0.
[[nodiscard]] std::vector<Claim> claims_of(const ClusterView& view);

/// The same but for shares and deficits, which share_out() fills in.
[[nodiscard]] std::vector<Claim> claims_without_shares(const ClusterView& view);

/// How many could use a slot.
[[nodiscard]] std::size_t working(std::span<const Claim> claims);

/// Fills in shares and deficits anew, after a policy changed what some claims may have at most.
void share_out(const ClusterView& view, std::span<Claim> claims);

/// Has had eight quanta more than its share: one of which nothing was heard meanwhile (its data is slow to come, say) no longer comes before others.
[[nodiscard]] bool tried_in_vain(const ClusterView& view, const Claim& claim);

/// max(round, quantum_min, 20 × the job's cost of a move): a job keeps a slot at least this long, so that moving costs at most a twentieth.
[[nodiscard]] Duration quantum_of(const ClusterView& view, const JobView& job);
[[nodiscard]] Duration quantum_of(Duration round, Duration quantum_min, Duration move_cost);

/// Predicted drop and deviation after `steps`, straight lines between the knots; beyond the last knot its value.
[[nodiscard]] ForecastKnot drop_after(std::span<const ForecastKnot> forecast, double steps);
[[nodiscard]] inline ForecastKnot drop_after(const JobView& job, double steps) { return drop_after(job.forecast, steps); }

/// Gives slots that nobody else can use to parked jobs, by id. Returns what is still left.
std::uint32_t give_spare(std::span<Claim> claims, std::uint32_t left);

/// The decision's entry for a claim: slots, carried values, drops until the quantum's end. Reason and sentence are filled in where they are the same under
/// every policy (no slots at all, a parked job); else the sentence is empty, and they are the policy's.
[[nodiscard]] JobDecision decided(const ClusterView& view, const Claim& claim);

/// Sorts by index (ties by job) and keeps the first kRefusedMax.
void keep_largest(std::vector<Refusal>& refused);
/// Fills in reason and sentence of the refused that have no sentence yet, as `explain` fills them in in the entry of the claim at a place; where the decision's
/// entry has a sentence, from there. REQUIRES: decision.jobs as claims, by id.
template <class Explain>
void say_refused(Decision& decision, std::span<const Claim> claims, const Explain& explain) {
  for (Refusal& r : decision.refused) {
    const auto c = std::lower_bound(claims.begin(), claims.end(), r.job, [](const Claim& of, JobId id) { return of.job->id < id; });
    const auto i = static_cast<std::size_t>(c - claims.begin());
    JobDecision d = decision.jobs[i];
    if (d.sentence.empty()) explain(i, d);
    r.reason = d.reason, r.sentence = std::move(d.sentence);
  }
}

}  // namespace sluice::manager
