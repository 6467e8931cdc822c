#include "manager/policies/in_order.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace sluice::manager {
namespace {

constexpr double kNeverTaken = 1e12;
constexpr double kLastShare = 0.1;  ///< of its steps

enum class Order : std::uint8_t { kSubmission, kRemainingTime };

/// Seconds until its end with all slots that it may use; 0: not known.
double remaining_seconds(const Claim& c) {
  const JobView& job = *c.job;
  const double rate = job.speed_up.alone > 0 ? job.speed_up.rate(c.max) : job.steps_per_slot_second * c.max;
  return rate > 0 && job.total_steps > 0 ? std::max(1.0, job.total_steps - static_cast<double>(job.step)) / rate : 0;
}

/// What a job ends with is what it is judged by.
bool ending(const JobView& job) { return job.total_steps > 0 && static_cast<double>(job.step) >= (1 - kLastShare) * job.total_steps; }

class InOrder final : public Policy {
 public:
  explicit InOrder(Order order) : order_(order) {}
  std::string_view name() const override { return order_ == Order::kSubmission ? "fifo" : "srtf"; }
  std::uint32_t version() const override { return 2; }
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

  Decision decide(const ClusterView& view, Memo&) const override {
    std::vector<Claim> claims = claims_of(view);
    std::vector<double> index;
    std::uint32_t room = room_for_bases(view, claims);
    double place = 0;
    for (Claim& c : claims) {
      if (c.full > 0) ++place;
      const double left = remaining_seconds(c);
      const bool unknown = order_ == Order::kRemainingTime && !(left > 0);
      c.base = c.min;
      if (unknown && c.deficit_ns >= 0 && c.min == 0 && c.max > 0 && room > 0) c.base = 1, --room;
      index.push_back(order_ == Order::kSubmission ? 1 / std::max(1.0, place) : unknown ? 0 : c.job->weight / left);
    }
    Decision out;
    out.price = serve_in_order(view, claims, index, {.quantum = order_ == Order::kSubmission ? kNeverTaken : 2});
    for (std::size_t i = 0; i < claims.size(); ++i) {
      JobDecision& d = out.jobs.emplace_back(decided(view, claims[i]));
      d.index = index[i];
      explain(claims[i], d);
      if (claims[i].slots < claims[i].max) out.refused.push_back({d.job, d.reason, d.index, d.sentence});
    }
    keep_largest(out.refused);
    return out;
  }

 private:
  void explain(const Claim& c, JobDecision& d) const {
    if (!d.sentence.empty()) return;
    const double left = remaining_seconds(c);
    const bool some = c.slots > 0;
    d.reason = some ? Reason::kTurn : Reason::kWaitingTurn;
    if (c.job->phase == JobPhase::kEvaluating && some) {
      d.reason = Reason::kFinishFirst;
      d.sentence = "its final evaluation is finished first";
    } else if (order_ == Order::kSubmission) {
      d.sentence = some ? "no earlier job wants these slots" : "earlier jobs have all slots";
    } else if (!(left > 0)) {
      d.sentence = some ? "how long it takes is not known yet: tried first" : "waits to be tried";
    } else {
      d.sentence = fmt::format("{:.3g} s are left on all slots that it may use: {}", left, some ? "no shorter job wants these slots" : "others take less");
    }
  }

  Order order_;
};

}  // namespace

std::uint32_t room_for_bases(const ClusterView& view, std::span<const Claim> claims) {
  const std::uint32_t slots = slots_of(view);
  const bool fewer = slots < working(claims);
  std::uint64_t taken = 0;
  for (const Claim& c : claims) taken += fewer && !c.quantum_over ? std::max(c.min, std::min(c.max, c.job->slots)) : c.min;
  return taken < slots ? static_cast<std::uint32_t>(slots - taken) : 0;
}

double serve_in_order(const ClusterView& view, std::span<Claim> claims, std::span<const double> index, const Defence& defence, bool stale) {
  struct Offer {
    double index;
    std::size_t claim;
    std::uint32_t slots;  ///< up to so many
    double part;          ///< of the index, without defence
  };
  std::uint32_t left = slots_of(view);
  const double within = left < working(claims) ? kNeverTaken : defence.quantum, round = view.round.seconds();
  std::vector<Offer> offers;
  for (std::size_t i = 0; i < claims.size(); ++i) {
    Claim& c = claims[i];
    c.slots = c.base, left -= c.base;
    const std::uint32_t held = std::min(c.max, c.job->slots);
    const double worth = c.quantum_over ? 1 / (1 - std::min(0.5, defence.margin + 2 * c.job->move_cost.seconds() / round)) : within;
    const auto offer = [&](std::uint32_t from, std::uint32_t to, double times) {
      const bool even = !stale || !(c.job->speed_up.efficiency(2) < 1);
      for (std::uint32_t next; from < to; from = next) {  // slot 1, 2, 3 to 4, 5 to 8, …
        next = even ? to : std::min(to, std::bit_ceil(from + 1));
        const double part = even ? 1 : from > 0 && ending(*c.job) ? 0 : c.job->speed_up.worth(from, next);
        offers.push_back({(index[i] + (times == 1 ? 0 : 1e-12)) * times * part, i, next, part});
      }
    };
    offer(c.base, held, worth);
    offer(std::max(held, c.base), c.max, 1);
  }
  std::stable_sort(offers.begin(), offers.end(), [](const Offer& a, const Offer& b) { return a.index > b.index; });
  double price = 0;
  for (const Offer& offer : offers) {
    Claim& c = claims[offer.claim];
    const std::uint32_t more = std::min(left, offer.slots - std::min(offer.slots, c.slots));
    c.slots += more, left -= more;
    if (more > 0) price = index[offer.claim] * offer.part;
  }
  give_spare(claims, left);
  return price;
}

std::unique_ptr<Policy> make_fifo_policy() { return std::make_unique<InOrder>(Order::kSubmission); }
std::unique_ptr<Policy> make_srtf_policy() { return std::make_unique<InOrder>(Order::kRemainingTime); }

}  // namespace sluice::manager
