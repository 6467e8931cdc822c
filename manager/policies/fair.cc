#include "manager/policies/fair.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "manager/policies/claims.h"

namespace sluice::manager {
namespace {

constexpr double kWhole = 1e-6;  ///< shares are rounded: this close below a whole number is the whole number

std::uint32_t whole(const Claim& c) { return std::min(c.max, static_cast<std::uint32_t>(std::floor(c.share + kWhole))); }

double owed_of(const Claim& c) { return static_cast<double>(c.deficit_ns) * 1e-9; }

void explain(const Claim& c, std::uint32_t slots, JobDecision& d) {
  const double owed = owed_of(c);
  if (!d.sentence.empty()) return;
  if (c.slots > 0 && c.slots == c.min && c.job->phase == JobPhase::kEvaluating) {
    d.reason = Reason::kFinishFirst;
    d.sentence = "its final evaluation is finished first";
  } else if (c.slots > 0 && c.slots == c.min && c.share <= c.min) {
    d.reason = Reason::kMinimum;
    d.sentence = fmt::format("its minimum of {} slots", c.min);
  } else if (std::abs(c.share - c.slots) <= kWhole) {
    d.reason = Reason::kShare;
    d.sentence = fmt::format("its share of {} slots is {:.2f}", slots, c.share);
  } else if (c.slots > whole(c)) {
    d.reason = Reason::kTurn;
    d.sentence = fmt::format("its turn: a share of {:.2f} of {} slots, owed {:.2f} slot-seconds", c.share, slots, owed);
  } else {
    d.reason = c.job->slots > c.slots ? Reason::kTurnOver : Reason::kWaitingTurn;
    d.sentence = fmt::format("{}: a share of {:.2f} of {} slots, owed {:.2f} slot-seconds, others are owed more",
                             c.job->slots > c.slots ? "its quantum ended" : "waits for its turn", c.share, slots, owed);
  }
}

class FairPolicy final : public Policy {
 public:
  std::string_view name() const override { return "fair"; }
  std::uint32_t version() const override { return 2; }

  Decision decide(const ClusterView& view, Memo& memo) const override {
    const std::uint32_t slots = slots_of(view);
    std::vector<Claim> claims = claims_of(view);
    give_spare(claims, give_shares(claims, slots));
    Decision decision;
    for (const Claim& c : claims) {
      JobDecision& d = decision.jobs.emplace_back(decided(view, c));
      d.index = owed_of(c);
      if (memo.all_sentences || c.slots != c.job->slots) explain(c, slots, d);
      if (c.slots < c.max && c.share - c.slots > kWhole) decision.refused.push_back({d.job, d.reason, d.index, {}});
    }
    keep_largest(decision.refused);
    say_refused(decision, claims, [&](std::size_t i, JobDecision& d) { explain(claims[i], slots, d); });
    return decision;
  }

  /// Only what is beyond the whole slots of the shares is ever moved.
  std::uint32_t moves_max(const ClusterView& view) const override {
    std::uint32_t kept = 0;
    for (const Claim& c : claims_of(view)) kept += std::min(c.job->slots, std::max(c.min, whole(c)));
    const std::uint32_t slots = slots_of(view);
    return slots - std::min(slots, kept);
  }
};

}  // namespace

std::uint32_t give_shares(std::span<Claim> claims, std::uint32_t slots) {
  std::uint32_t left = slots;
  std::vector<Claim*> wanting;
  for (Claim& c : claims) {
    c.slots = std::max(c.min, whole(c));
    left -= c.slots;
    if (c.share - c.slots > kWhole && c.slots < c.max) wanting.push_back(&c);
  }
  std::sort(wanting.begin(), wanting.end(), [](const Claim* a, const Claim* b) {
    const bool a_keeps = a->job->slots > a->slots && !a->quantum_over, b_keeps = b->job->slots > b->slots && !b->quantum_over;
    if (a_keeps != b_keeps) return a_keeps;
    return a->deficit_ns != b->deficit_ns ? a->deficit_ns > b->deficit_ns : a->job->id < b->job->id;
  });
  for (Claim* c : wanting) {
    if (left == 0) break;
    ++c->slots;
    --left;
  }
  return left;
}

std::unique_ptr<Policy> make_fair_policy() { return std::make_unique<FairPolicy>(); }

}  // namespace sluice::manager
