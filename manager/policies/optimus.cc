#include "manager/policies/optimus.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>

#include "manager/policies/claims.h"

namespace sluice::manager {
namespace {

/// Weighted seconds that the n-th slot takes off the job's remaining time; 0: nothing is known of it. n ≥ 2.
double saved_seconds(const JobView& job, std::uint32_t n) {
  const double left = std::max(1.0, job.total_steps - static_cast<double>(job.step));
  const double before = job.speed_up.rate(n - 1), after = job.speed_up.rate(n);
  return job.total_steps > 0 && before > 0 && after > 0 ? job.weight * (left / before - left / after) : 0;
}

/// First slots: minimums, running quanta, then who is owed most; as many as there are.
std::uint32_t first_slots(std::vector<Claim>& claims, std::uint32_t left) {
  std::vector<Claim*> order;
  for (Claim& c : claims) {
    c.slots = c.min, left -= c.min;
    if (c.slots == 0 && c.max > 0) order.push_back(&c);
  }
  std::sort(order.begin(), order.end(), [](const Claim* a, const Claim* b) {
    const bool a_keeps = a->job->slots > 0 && !a->quantum_over, b_keeps = b->job->slots > 0 && !b->quantum_over;
    if (a_keeps != b_keeps) return a_keeps;
    return a->deficit_ns != b->deficit_ns ? a->deficit_ns > b->deficit_ns : a->job->id < b->job->id;
  });
  for (Claim* c : order) {
    if (left == 0) break;
    ++c->slots, --left;
  }
  return left;
}

/// One slot at a time to who saves most.
std::uint32_t further_slots(std::vector<Claim>& claims, std::uint32_t left) {
  struct Bid {
    double saved;
    Claim* claim;
  };
  const auto smaller = [](const Bid& a, const Bid& b) { return a.saved != b.saved ? a.saved < b.saved : a.claim->job->id > b.claim->job->id; };
  std::priority_queue<Bid, std::vector<Bid>, decltype(smaller)> bids(smaller);
  const auto bid = [&](Claim& c) {
    if (c.slots > 0 && c.slots < c.max) bids.push({saved_seconds(*c.job, c.slots + 1), &c});
  };
  for (Claim& c : claims) {
    // While nothing is known of a job it has its fair share.
    const bool unknown = !(c.job->total_steps > 0) || !(c.job->speed_up.alone > 0);
    const auto share = std::min(c.max, static_cast<std::uint32_t>(c.share));
    if (const std::uint32_t more = unknown && c.slots > 0 ? std::min(left, share - std::min(share, c.slots)) : 0; more > 0) c.slots += more, left -= more;
    bid(c);
  }
  for (; left > 0 && !bids.empty(); --left) {
    Claim& c = *bids.top().claim;
    bids.pop();
    ++c.slots;
    bid(c);
  }
  return left;
}

class Optimus final : public Policy {
 public:
  std::string_view name() const override { return "optimus"; }
  std::uint32_t version() const override { return 2; }
  /// It may move every slot.
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

  Decision decide(const ClusterView& view, Memo&) const override {
    std::vector<Claim> claims = claims_of(view);
    std::uint32_t left = further_slots(claims, first_slots(claims, slots_of(view)));
    give_spare(claims, left);
    Decision out;
    for (const Claim& c : claims) {
      JobDecision& d = out.jobs.emplace_back(decided(view, c));
      d.index = c.slots > 1 ? saved_seconds(*c.job, c.slots) : 0;
      explain(c, d);
      if (c.slots < c.max)
        out.refused.push_back({d.job, c.slots == 0 ? Reason::kWaitingTurn : Reason::kSmallerDrop, saved_seconds(*c.job, std::max(2U, c.slots + 1)), {}});
    }
    keep_largest(out.refused);
    for (Refusal& r : out.refused) r.sentence = fmt::format("one slot more would save {:.3g} s", r.index), out.price = std::max(out.price, r.index);
    return out;
  }

 private:
  static void explain(const Claim& c, JobDecision& d) {
    if (!d.sentence.empty()) return;
    if (c.job->phase == JobPhase::kEvaluating && c.slots > 0) {
      d.reason = Reason::kFinishFirst;
      d.sentence = "its final evaluation is finished first";
    } else if (c.slots == 0) {
      d.reason = Reason::kWaitingTurn;
      d.sentence = "waits for its turn: others are owed more";
    } else if (c.slots == 1) {
      d.reason = c.share < 1 ? Reason::kTurn : Reason::kShare;
      d.sentence = "everyone starts at one slot, and others' time falls more by a further one";
    } else {
      d.reason = Reason::kLargestDrop;
      d.sentence = fmt::format("its last slot saves {:.3g} s of its remaining time", d.index);
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_optimus_policy() { return std::make_unique<Optimus>(); }

}  // namespace sluice::manager
