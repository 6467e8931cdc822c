#include "manager/policies/asha.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "manager/policies/claims.h"
#include "manager/policies/fair.h"

namespace sluice::manager {
namespace {

/// A claim and where it stands among those it is compared with.
struct Trial {
  Claim* claim = nullptr;
  std::size_t pool = 0, place = 0;  ///< its pool, by its first member; its place in it, by rank
  bool goes_on = true;
  std::size_t better = 0, passed = 0;  ///< at its last rung: members that were better, members that were there
};

double loss_at(const Claim& c, std::size_t rung) {
  const JobView& job = *c.job;
  const double loss = job.rungs[rung];
  return job.group.empty() && job.first_loss > 0 ? loss / job.first_loss : loss;
}

bool better(const Claim& a, const Claim& b, std::size_t rung) {
  const double x = loss_at(a, rung), y = loss_at(b, rung);
  return x != y ? x < y : a.job->id < b.job->id;
}

class Halving {
 public:
  explicit Halving(std::vector<Claim>& claims) {
    std::map<std::string, std::size_t> pools;
    for (Claim& c : claims) {
      if (c.max == 0 || c.parked) continue;
      trials_.push_back({.claim = &c, .pool = pools.try_emplace(c.job->group, pools.size()).first->second});
    }
    for (std::size_t pool = 0; pool < pools.size(); ++pool) rank(pool);
  }

  [[nodiscard]] std::vector<Trial>& trials() { return trials_; }

  /// Those that go on first, by turns of the pools; then the others.
  void sort() {
    std::sort(trials_.begin(), trials_.end(), [](const Trial& a, const Trial& b) {
      if (a.goes_on != b.goes_on) return a.goes_on;
      const bool a_keeps = !a.claim->quantum_over, b_keeps = !b.claim->quantum_over;
      if (a_keeps != b_keeps) return a_keeps;
      return a.place != b.place ? a.place < b.place : a.claim->job->id < b.claim->job->id;
    });
  }

 private:
  void rank(std::size_t pool) {
    std::vector<Trial*> members;
    for (Trial& t : trials_)
      if (t.pool == pool) members.push_back(&t);
    // The losses of each rung, sorted once: a member's place in them is found by bisection.
    std::vector<std::vector<const Claim*>> rungs;
    for (const Trial* t : members) {
      const std::size_t passed = t->claim->job->rungs.size();
      if (passed > rungs.size()) rungs.resize(passed);
      for (std::size_t k = 0; k < passed; ++k) rungs[k].push_back(t->claim);
    }
    for (std::size_t k = 0; k < rungs.size(); ++k)
      std::sort(rungs[k].begin(), rungs[k].end(), [&](const Claim* a, const Claim* b) { return better(*a, *b, k); });
    for (Trial* t : members) {
      const std::size_t passed = t->claim->job->rungs.size();
      if (passed > 0) {
        const auto& at = rungs[passed - 1];
        const auto found = std::lower_bound(at.begin(), at.end(), t->claim, [&](const Claim* a, const Claim* b) { return better(*a, *b, passed - 1); });
        t->better = static_cast<std::size_t>(found - at.begin());
        t->passed = at.size();
        t->goes_on = t->better < t->passed / static_cast<std::size_t>(kRungFactor);
      }
      // Also a move must have been worth its cost, and who is evaluated needs its slot.
      t->goes_on = t->goes_on || !t->claim->quantum_over || t->claim->job->phase == JobPhase::kEvaluating;
    }
    std::sort(members.begin(), members.end(), [](const Trial* a, const Trial* b) {
      if (a->goes_on != b->goes_on) return a->goes_on;
      const std::size_t x = a->claim->job->rungs.size(), y = b->claim->job->rungs.size();
      if (x != y) return x > y;
      return a->better != b->better ? a->better < b->better : a->claim->job->id < b->claim->job->id;
    });
    for (std::size_t i = 0; i < members.size(); ++i) members[i]->place = i;
    // Nobody is good enough of so few: the best of them goes on.
    if (!members.empty()) members.front()->goes_on = true;
  }

  std::vector<Trial> trials_;
};

class Asha final : public Policy {
 public:
  std::string_view name() const override { return "asha"; }
  std::uint32_t version() const override { return 2; }
  /// It may move every slot.
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

  Decision decide(const ClusterView& view, Memo&) const override {
    const std::uint32_t slots = slots_of(view);
    std::vector<Claim> claims = claims_of(view);
    Halving halving(claims);
    halving.sort();
    // With fewer slots than jobs that go on, the first ones have one each.
    std::size_t going_on = 0;
    std::map<JobId, const Trial*> of;
    for (const Trial& t : halving.trials()) {
      Claim& c = *t.claim;
      if (!t.goes_on || ++going_on > slots) c.max = c.min;
      of[c.job->id] = &t;
    }
    share_out(view, claims);
    std::uint32_t left = give_shares(claims, slots);
    for (Trial& t : halving.trials()) {
      const std::uint32_t more = std::min(left, t.claim->full - std::min(t.claim->full, t.claim->slots));
      t.claim->slots += more, left -= more;
    }
    give_spare(claims, left);
    Decision out;
    for (const Claim& c : claims) {
      JobDecision& d = out.jobs.emplace_back(decided(view, c));
      const auto trial = of.find(c.job->id);
      if (trial == of.end() && d.sentence.empty()) d.reason = Reason::kParked, d.sentence = "it can use no slots";
      if (trial != of.end()) explain(*trial->second, d);
      if (c.slots < c.full) out.refused.push_back({d.job, d.reason, d.index, d.sentence});
    }
    keep_largest(out.refused);
    return out;
  }

 private:
  static void explain(const Trial& t, JobDecision& d) {
    const Claim& c = *t.claim;
    const std::size_t rungs = c.job->rungs.size();
    d.index = static_cast<double>(rungs) + (t.passed > 0 ? 1 - static_cast<double>(t.better) / static_cast<double>(t.passed) : 0);
    if (!d.sentence.empty()) return;
    const std::string place = rungs == 0 ? std::string("has not come to its first rung")
                                         : fmt::format("was number {} of {} at its rung {}, the best third goes on", t.better + 1, t.passed, rungs);
    if (c.job->phase == JobPhase::kEvaluating && c.slots > 0) {
      d.reason = Reason::kFinishFirst;
      d.sentence = "its final evaluation is finished first";
    } else if (c.slots > 0) {
      d.reason = t.goes_on ? (c.share >= 1 ? Reason::kShare : Reason::kTurn) : Reason::kSpare;
      d.sentence = t.goes_on ? place : place + "; nobody else can use its slots";
    } else {
      d.reason = t.goes_on ? Reason::kWaitingTurn : Reason::kSmallerDrop;
      d.sentence = t.goes_on ? place + "; others come first" : place + ": paused";
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_asha_policy() { return std::make_unique<Asha>(); }

}  // namespace sluice::manager
