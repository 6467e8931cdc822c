#include "manager/policies/slaq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <queue>

#include "manager/policies/claims.h"

namespace sluice::manager {
namespace {

/// The authors give new jobs their fair share until there is a history. From fewer reports than this a fit sees nothing: of the curves of a live sweep it was a
/// tenth of the truth or less in every third case after two or three (docs/adr/0008); with one more a first
/// turn took two quanta (docs/adr/0009).
constexpr std::uint64_t kHistory = 5;
/// With a slot a job, SLAQ hears everybody always. With fewer slots that is stood in for by turns that take 1/kTurns of all slot time, as one slot a job did in
/// the authors' own runs (160 jobs on 640 cores).
constexpr std::int64_t kTurns = 4;
constexpr double kNoGain = 1e-9;  ///< normalised drop a second

/// One slot more for a claim, and what that is worth.
struct Bid {
  Claim* claim = nullptr;
  enum class Rank : std::uint8_t {
    kGain,     ///< by what is predicted
    kOverdue,  ///< no slot, and none for long
    kUntried,  ///< fewer than kHistory reports
  } rank = Rank::kGain;
  double gain = 0;  ///< predicted normalised drop per second of that slot
};

/// std::priority_queue gives the last in this order: untried jobs by submission, then overdue ones by how long they waited, then by gain, then what is owed
/// most, then by submission.
struct Smaller {
  bool operator()(const Bid& a, const Bid& b) const {
    if (a.rank != b.rank) return a.rank < b.rank;
    const JobView &x = *a.claim->job, &y = *b.claim->job;
    if (a.rank == Bid::Rank::kOverdue && x.waits_since != y.waits_since) return x.waits_since > y.waits_since;
    if (a.rank == Bid::Rank::kGain && a.gain != b.gain) return a.gain < b.gain;
    if (a.rank == Bid::Rank::kGain && a.claim->deficit_ns != b.claim->deficit_ns) return a.claim->deficit_ns < b.claim->deficit_ns;
    return x.id > y.id;
  }
};

class Auction {
 public:
  Auction(const ClusterView& view, SlaqScale scale, bool worst_first)
      : view_(view), scale_(scale), worst_first_(worst_first), claims_(claims_of(view)), slots_(slots_of(view)) {}

  void run() {
    begin();
    shrink_to_fit();
    grow();
    left_ = give_spare(claims_, left_);
  }

  [[nodiscard]] Decision decision(bool all_sentences) const {
    Decision out;
    double best_refused = 0;
    for (const Claim& c : claims_) {
      JobDecision& d = out.jobs.emplace_back(decided(view_, c));
      d.marginal_gain = gain(c, c.slots == 0 ? 1 : c.slots);
      d.index = bid_of(c, std::max(1U, c.slots));
      const double next = bid_of(c, c.slots + 1);
      best_refused = std::max(best_refused, c.slots < c.max ? next : 0);
      if (c.slots < c.max) out.refused.push_back({d.job, c.parked ? Reason::kParked : Reason::kSmallerDrop, next, {}});
    }
    for (std::size_t i = 0; i < claims_.size(); ++i)
      if (all_sentences || claims_[i].slots != claims_[i].job->slots) explain(claims_[i], out.jobs[i]);
    keep_largest(out.refused);
    for (Refusal& r : out.refused)
      r.sentence = worst_first_ ? fmt::format("its normalised loss will be {:.3g}, and others' is worse", r.index)
                                : fmt::format("one slot more: predicted normalised drop {:.3g}/s", r.index);
    out.price = best_refused;
    return out;
  }

 private:
  /// Predicted drop over the job's quantum, as a share of its scale, of the n-th slot; per second. A slot that it does not hold yet first pays for its move.
  [[nodiscard]] double gain(const Claim& c, std::uint32_t n) const {
    const JobView& job = *c.job;
    const double scale = scale_ == SlaqScale::kRange ? job.first_loss - job.floor : job.largest_drop;
    if (job.forecast.empty() || !(scale > 0) || n == 0) return 0;
    const double horizon = quantum_of(view_, job).seconds();
    const auto steps = [&](std::uint32_t slots) {
      const double moved = slots > job.slots ? static_cast<double>(slots - job.slots) * std::min(job.move_cost.seconds(), horizon) : 0;
      return job.steps_per_slot_second * (horizon * slots - moved);
    };
    return job.weight * std::max(0.0, drop_after(job, steps(n)).drop - drop_after(job, steps(n - 1)).drop) / scale / horizon;
  }

  /// What the n-th slot is ranked by.
  [[nodiscard]] double bid_of(const Claim& c, std::uint32_t n) const {
    const double gained = gain(c, n);
    if (!worst_first_ || !(gained > kNoGain)) return worst_first_ ? 0 : gained;
    const JobView& job = *c.job;
    const double drop = drop_after(job, job.steps_per_slot_second * quantum_of(view_, job).seconds() * (n - 1)).drop;
    return job.weight * std::max(0.0, (job.loss - drop - job.floor) / (job.first_loss - job.floor));
  }

  /// What each job has before anything is auctioned: its minimum; one slot where there are enough, and a newcomer's fair share; else what it holds while its
  /// quantum runs. Where there are enough all others are auctioned anew each round, as the authors do: a job that arrived a moment ago, or was heard now, does
  /// not wait for the quanta of those that gain less; what a move costs is in the bids.
  void begin() {
    std::uint32_t room = slots_;
    for (Claim& c : claims_) {
      c.base = c.min;
      room -= c.min;
      working_ += c.max > 0 ? 1 : 0;
    }
    enough_ = slots_ >= working_;
    const auto raise = [&](Claim& c, std::uint32_t to) {
      const std::uint32_t more = std::min(room, std::min(c.max, to) - std::min({c.base, c.max, to}));
      c.base += more;
      room -= more;
    };
    if (enough_) {
      for (Claim& c : claims_) raise(c, 1);
      for (Claim& c : claims_)
        if (c.job->reports < kHistory) raise(c, static_cast<std::uint32_t>(c.share));
    }
    for (Claim& c : claims_) c.slots = c.quantum_over || enough_ ? c.base : std::max(c.base, std::min(c.job->slots, c.max));
  }
  /// Newcomers and minimums come before running quanta: the least valuable slots above the bases are given back. The bases fit.
  void shrink_to_fit() {
    const auto larger = [](const Bid& a, const Bid& b) { return Smaller{}(b, a); };
    std::priority_queue<Bid, std::vector<Bid>, decltype(larger)> cheapest(larger);
    std::uint64_t held = 0;
    for (Claim& c : claims_) {
      held += c.slots;
      if (c.slots > c.base) cheapest.push({&c, Bid::Rank::kGain, bid_of(c, c.slots)});
    }
    while (held > slots_) {
      Claim& c = *cheapest.top().claim;
      cheapest.pop();
      --c.slots;
      --held;
      if (c.slots > c.base) cheapest.push({&c, Bid::Rank::kGain, bid_of(c, c.slots)});
    }
    left_ = slots_ - static_cast<std::uint32_t>(held);
  }
  void grow() {
    std::priority_queue<Bid, std::vector<Bid>, Smaller> bids;
    const auto bid = [&](Claim& c) {
      if (c.slots < c.max) bids.push({&c, rank(c), bid_of(c, c.slots + 1)});
    };
    for (Claim& c : claims_) bid(c);
    for (; left_ > 0 && !bids.empty(); --left_) {
      Claim& c = *bids.top().claim;
      c.overdue = bids.top().rank == Bid::Rank::kOverdue;
      bids.pop();
      ++c.slots;
      bid(c);
    }
  }
  void explain(const Claim& c, JobDecision& d) const {
    const JobView& job = *c.job;
    if (!d.sentence.empty()) return;
    const std::string gains = job.forecast.empty() ? std::string("no prediction yet") : fmt::format("predicted normalised drop {:.3g}/s", d.marginal_gain);
    const auto say = [&](Reason reason, std::string sentence) {
      d.reason = reason;
      d.sentence = std::move(sentence);
    };
    if (job.phase == JobPhase::kEvaluating && c.slots > 0) return say(Reason::kFinishFirst, "its final evaluation is finished first");
    if (c.slots == 0) {
      if (job.slots > 0) return say(Reason::kSmallerDrop, fmt::format("its quantum ended and others' drop is larger: {}", gains));
      return job.reports < kHistory ? say(Reason::kWaitingTurn, "waits to be tried; earlier jobs are tried first")
                                    : say(Reason::kSmallerDrop, fmt::format("others' drop is larger: {}", gains));
    }
    if (job.reports < kHistory) return say(Reason::kFirstReports, fmt::format("{} of {} reports: tried before predictions count", job.reports, kHistory));
    if (c.overdue) return say(Reason::kTurn, fmt::format("heard again after {:.1f} s without a slot; {}", waited(view_, job).seconds(), gains));
    if (!enough_ && !c.quantum_over && c.slots <= job.slots) return say(Reason::kQuantum, fmt::format("keeps its slots until its quantum ends; {}", gains));
    if (c.slots <= c.min) return say(Reason::kMinimum, fmt::format("its minimum of {} slots", c.min));
    if (enough_ && c.slots == 1) return say(Reason::kShare, fmt::format("everyone starts at one slot; {}", gains));
    if (worst_first_) return say(Reason::kLargestDrop, fmt::format("the worst normalised loss, {:.3g}, before its last slot; {}", d.index, gains));
    say(Reason::kLargestDrop, fmt::format("{}, the largest on offer", gains));
  }

  /// Waits for its first reports; but one that held a slot for a while in vain (its data is slow to come, say) no longer comes before the others.
  [[nodiscard]] bool untried(const Claim& c) const { return c.job->reports < kHistory && c.slots == 0 && !tried_in_vain(view_, c); }

  /// Turns take 1/kTurns of all slot time: each job's comes after kTurns times what a round of quanta over all jobs takes.
  [[nodiscard]] bool overdue(const Claim& c) const {
    if (enough_ || c.slots > 0 || c.job->slots > 0 || slots_ == 0) return false;
    return waited(view_, *c.job).ns / kTurns >= quantum_of(view_, *c.job).ns * working_ / slots_;
  }
  [[nodiscard]] Bid::Rank rank(const Claim& c) const { return untried(c) ? Bid::Rank::kUntried : overdue(c) ? Bid::Rank::kOverdue : Bid::Rank::kGain; }

  const ClusterView& view_;
  SlaqScale scale_;
  bool worst_first_;
  std::vector<Claim> claims_;
  std::uint32_t slots_;
  std::uint32_t working_ = 0;  ///< jobs that could use a slot
  std::uint32_t left_ = 0;
  bool enough_ = false;
};

class SlaqPolicy final : public Policy {
 public:
  explicit SlaqPolicy(SlaqScale scale, bool worst_first = false) : scale_(scale), worst_first_(worst_first) {}
  std::string_view name() const override { return worst_first_ ? "slaq-maxmin" : "slaq"; }
  /// What its authors fit (SLAQ, SoCC'17).
  [[nodiscard]] std::string_view predictor() const override { return "slaq"; }
  std::uint32_t version() const override { return worst_first_ ? 3 : 6; }
  Decision decide(const ClusterView& view, Memo& memo) const override {
    Auction auction(view, scale_, worst_first_);
    auction.run();
    return auction.decision(memo.all_sentences);
  }
  /// It may move every slot.
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

 private:
  SlaqScale scale_;
  bool worst_first_;
};

}  // namespace

std::unique_ptr<Policy> make_slaq_maxmin_policy() { return std::make_unique<SlaqPolicy>(SlaqScale::kRange, true); }

std::unique_ptr<Policy> make_slaq_policy(SlaqScale scale) { return std::make_unique<SlaqPolicy>(scale); }

}  // namespace sluice::manager
