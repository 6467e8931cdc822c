#include "manager/policies/claims.h"

#include <algorithm>
#include <cmath>

#include "manager/policies/water_level.h"

namespace sluice::manager {
namespace {

constexpr std::int64_t kMovesPaid = 20;
/// A deficit is what short-term rounding owes; more than this many quanta would let a job that was long unable to run crowd out the others afterwards.
constexpr std::int64_t kDeficitQuanta = 64;

void cut_minimums(std::vector<Claim>& claims, std::uint32_t slots) {
  std::uint64_t wanted = 0;
  for (const Claim& c : claims) wanted += c.min;
  if (wanted <= slots) return;
  std::vector<Claim*> order;
  for (Claim& c : claims) order.push_back(&c);
  std::stable_partition(order.begin(), order.end(), [](const Claim* c) { return c->job->phase == JobPhase::kEvaluating; });
  for (Claim* c : order) {
    c->min = std::min(c->min, slots);
    slots -= c->min;
  }
}

/// Weighted water-filling: share = clamp(weight × level, min, max) with the level at which the shares add up to the slots.
void fill_shares(std::span<Claim> claims, std::uint32_t slots) {
  std::vector<double> weights(claims.size());
  std::vector<std::uint32_t> least(claims.size()), most(claims.size());
  for (std::size_t i = 0; i < claims.size(); ++i) weights[i] = claims[i].job->weight, least[i] = claims[i].min, most[i] = claims[i].max;
  const double level = water_level(weights, least, most, slots).level;
  for (Claim& c : claims) c.share = std::clamp(c.job->weight * level, static_cast<double>(c.min), static_cast<double>(c.max));
}

}  // namespace

Duration quantum_of(Duration round, Duration quantum_min, Duration move_cost) { return std::max({round, quantum_min, move_cost * kMovesPaid}); }

Duration quantum_of(const ClusterView& view, const JobView& job) { return quantum_of(view.round, view.quantum_min, job.move_cost); }

std::vector<Claim> claims_of(const ClusterView& view) {
  std::vector<Claim> claims = claims_without_shares(view);
  share_out(view, claims);
  return claims;
}

std::vector<Claim> claims_without_shares(const ClusterView& view) {
  const std::uint32_t slots = slots_of(view);
  std::vector<Claim> claims;
  claims.reserve(view.jobs.size());
  bool others = false;
  for (const JobView& job : view.jobs) {
    Claim& c = claims.emplace_back();
    c.job = &job;
    c.full = std::min({job.slots_max, job.usable, slots});
    c.min = std::min(job.slots_min, c.full);
    c.max = c.full;
    c.parked = job.phase == JobPhase::kDiverging;
    others = others || (!c.parked && c.full > 0);
    if (job.phase == JobPhase::kEvaluating && c.max > 0) c.min = std::max(c.min, 1U);
    // A tenth of a round's grace: rounds are timers, and one that comes a little early must not make the quantum a round longer.
    c.quantum_over = job.slots == 0 || (view.now - job.quantum_since) + Duration{view.round.ns / 10} >= quantum_of(view, job);
  }
  const auto by_id = [](const Claim& a, const Claim& b) { return a.job->id < b.job->id; };
  if (!std::is_sorted(claims.begin(), claims.end(), by_id)) std::sort(claims.begin(), claims.end(), by_id);
  cut_minimums(claims, slots);
  for (Claim& c : claims) {
    if (!c.parked) continue;
    if (others) c.max = c.min;
    c.parked = others;
  }
  return claims;
}

std::size_t working(std::span<const Claim> claims) {
  return static_cast<std::size_t>(std::count_if(claims.begin(), claims.end(), [](const Claim& c) { return c.full > 0; }));
}

void share_out(const ClusterView& view, std::span<Claim> claims) {
  fill_shares(claims, slots_of(view));
  for (Claim& c : claims) {
    const double owed = (c.share - static_cast<double>(c.job->slots)) * static_cast<double>(view.elapsed.ns);
    const std::int64_t bound = quantum_of(view, *c.job).ns * kDeficitQuanta;
    c.deficit_ns = std::clamp<std::int64_t>(c.job->deficit_ns + std::llround(owed), -bound, bound);
  }
}

bool tried_in_vain(const ClusterView& view, const Claim& claim) {
  constexpr std::int64_t kQuanta = 8;
  return claim.deficit_ns <= -kQuanta * quantum_of(view, *claim.job).ns;
}

ForecastKnot drop_after(std::span<const ForecastKnot> forecast, double steps) {
  ForecastKnot before{};
  for (const ForecastKnot& knot : forecast) {
    if (steps <= knot.steps) {
      const double part = knot.steps > before.steps ? (steps - before.steps) / (knot.steps - before.steps) : 1;
      return {steps, before.drop + part * (knot.drop - before.drop), before.deviation + part * (knot.deviation - before.deviation)};
    }
    before = knot;
  }
  return {steps, before.drop, before.deviation};
}

std::uint32_t give_spare(std::span<Claim> claims, std::uint32_t left) {
  for (Claim& c : claims) {
    const std::uint32_t more = std::min(left, c.full - std::min(c.full, c.slots));
    c.slots += more;
    left -= more;
  }
  return left;
}

JobDecision decided(const ClusterView& view, const Claim& claim) {
  const JobView& job = *claim.job;
  const double seconds = quantum_of(view, job).seconds();
  const auto drop = [&](std::uint32_t slots) { return drop_after(job, job.steps_per_slot_second * seconds * slots); };
  JobDecision out;
  out.job = job.id;
  out.slots = claim.slots;
  out.deficit_ns = claim.deficit_ns;
  out.quantum_since = claim.slots > job.slots || claim.quantum_over ? view.now : job.quantum_since;
  out.share = claim.share;
  const ForecastKnot with = drop(claim.slots);
  out.drop_with = with.drop;
  out.drop_without = drop(job.slots).drop;
  out.deviation = with.deviation;
  if (std::all_of(view.hosts.begin(), view.hosts.end(), [](const HostView& h) { return h.slots == 0; })) {
    out.reason = Reason::kNoSlots;
    out.sentence = "there are no worker slots";
  } else if (claim.parked) {
    out.reason = claim.slots > claim.min ? Reason::kSpare : Reason::kParked;
    out.sentence = claim.slots > claim.min ? "parked, but nobody else can use these slots" : "parked at its minimum: its loss diverges";
  }
  return out;
}

void keep_largest(std::vector<Refusal>& refused) {
  const auto kept = refused.begin() + static_cast<std::ptrdiff_t>(std::min(kRefusedMax, refused.size()));
  std::partial_sort(refused.begin(), kept, refused.end(),
                    [](const Refusal& a, const Refusal& b) { return a.index != b.index ? a.index > b.index : a.job < b.job; });
  refused.erase(kept, refused.end());
}

}  // namespace sluice::manager
