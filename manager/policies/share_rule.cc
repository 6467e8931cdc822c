#include "manager/policies/share_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "manager/policies/claims.h"
#include "manager/policies/group_rule.h"
#include "manager/policies/in_order.h"
#include "manager/policies/root_shares.h"
#include "manager/policies/share_keeper.h"

namespace sluice::manager {
namespace {

constexpr double kPriorReports = 30;
constexpr double kFitVariance = 0.3;       ///< of a forecast's squared deviation: how far a job's remaining loss is off by it is mostly less than its end
constexpr double kFewReports = 6;          ///< a forecast from so many weighs a half at most, however sure it is
constexpr double kSurest = 0.01;           ///< of the range: nothing is known better
constexpr double kNearLinear = 0.9;        ///< s(n)/n at all slots
constexpr std::uint32_t kFewSlots = 8;     ///< so many or fewer are near-linear whatever was measured
constexpr std::uint64_t kTrialOf = 4;      ///< newcomers
constexpr double kStillLinear = 0.85;      ///< … where jobs are served by the index already
constexpr double kWaitsInOrder = 2.0 / 3;  ///< of the ageing: by the index the last ones are served whole, and late ones catch up sooner
constexpr double kDearMove = 0.05;         ///< of a round: the index moves half of the slots a round
constexpr double kStillDear = 1.5;         ///< times that, where …

/// Of what past jobs say, beside the job's own reports, 0 … 1: each weighs the inverse of its variance: of past jobs that among them, of the reports that of
/// the end foretold, which moves the remaining loss q by 1 − q; but how sure a forecast from a few reports is, is not sure either. Where no end is foretold the
/// reports weigh by their number.
double prior_weight(const JobView& job) {
  if (!(job.total_steps > 0)) return 0;
  const double floor = job.declared ? job.end_loss : job.floor, range = job.first_loss - floor;
  const double deviation = end_deviation(job);
  if (!(range > 0) || !(deviation > 0)) return kPriorReports / (kPriorReports + static_cast<double>(job.reports));
  const double done = 1 - std::clamp((job.level - floor) / range, 0.0, 1.0), off = deviation / range * done;
  const double fit = kFitVariance * off * off + kSurest * kSurest, prior = job.prior_deviation * job.prior_deviation + kSurest * kSurest;
  return std::max(fit / (fit + prior), kFewReports / (kFewReports + static_cast<double>(job.reports)));
}

class Sharing {
 public:
  Sharing(const ClusterView& view, Hearing hearing)
      : view_(view), hearing_(hearing), aged_(view), claims_(claims_without_shares(view)), slots_(slots_of(view)) {
    double attained = 0, jobs = 0, stall = 0;
    for (const Claim& c : claims_)
      if (c.full > 0) attained += c.job->attained, stall += c.job->move_cost.seconds(), ++jobs;
    usual_ = view.usual_attained > 0 ? view.usual_attained : jobs > 0 ? attained / jobs : 0;
    linear_ = near_linear(view, slots_, stall, jobs);
    places_ = hearing == Hearing::kLoss ? places_in_groups(view, claims_) : std::vector<GroupPlace>(claims_.size());
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      const GroupPlace& place = places_[i];
      const double q = place.member ? place.value : remaining_loss(*c.job, hearing_, usual_);
      remaining_.push_back(q);
      worth_.push_back(RootWorth::worth(c.job->weight, q, place.member && !place.serves ? 0 : ageing(*c.job)));
    }
  }

  void run() {
    if (linear_)
      serve();
    else
      share();
  }

  [[nodiscard]] Decision decision(bool all_sentences) const {
    Decision out;
    out.price = price_;
    out.by_index = linear_;
    out.jobs.reserve(claims_.size());
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      JobDecision& d = out.jobs.emplace_back(decided(view_, c));
      d.rounding = rounding_.empty() ? 0 : rounding_[i];
      d.index = linear_ ? indices_[i] : worth_[i];
      if (all_sentences || c.slots != c.job->slots) explain(i, d);
      if (c.slots < c.max && (linear_ || c.share > c.slots)) out.refused.push_back({d.job, d.reason, d.index, {}});
    }
    keep_largest(out.refused);
    say_refused(out, claims_, [this](std::size_t i, JobDecision& d) { explain(i, d); });
    return out;
  }

 private:
  [[nodiscard]] double ageing(const JobView& job) const {
    return (linear_ && !view_.fairness.strict ? kWaitsInOrder : 1) * aged_.ageing(job.submitted, job.behind);
  }

  // --- the index: served in descending order -----------------------------------------------------------------------------------------------------------------

  /// The best average slope ahead, or the jump of all that is left at its end; per slot-second.
  [[nodiscard]] double index(std::size_t i) const {
    const JobView& job = *claims_[i].job;
    if (places_[i].member) return job.weight * places_[i].index + (places_[i].serves ? waited(job) : 0);
    const double left = remaining_slot_seconds(job, rate_alone(job));
    double best = 0;
    if (hearing_ == Hearing::kAttained) return worth_[i];
    if (unheard(claims_[i])) return job.weight / usual_ + waited(job);
    if (left > 0) best = worth_[i] / left;
    best += waited(job);
    if (hearing_ != Hearing::kLoss || !(job.steps_per_slot_second > 0)) return best;
    const double range = job.first_loss - (job.declared ? job.end_loss : job.floor), w = prior_weight(job);
    double fit = 0;
    if (range > 0)
      for (const ForecastKnot& knot : job.forecast) fit = std::max(fit, std::min(remaining_[i], knot.drop / range) / knot.steps);
    return std::max(best, job.weight * ((1 - w) * fit + w * job.prior_slope) * job.steps_per_slot_second + waited(job));
  }
  /// Not heard yet, and not tried in vain: all of its loss is taken to be before it, over as many slot-seconds as is usual. But as long as nobody knows what
  /// many slots are worth it begins with its fair share: jobs that always have all of them never tell.
  [[nodiscard]] bool unheard(const Claim& c) const {
    const bool known = slots_ <= kFewSlots || view_.usual_kappa >= 0;
    return known && c.job->reports < 2 && !(rate_alone(*c.job) > 0) && usual_ > 0 && !tried_in_vain(view_, c);
  }
  /// It does not fall with the job's length: who is long waits, but not for ever.
  [[nodiscard]] double waited(const JobView& job) const { return usual_ > 0 ? job.weight * ageing(job) / usual_ : 0; }
  void serve() {
    share_out(view_, claims_);
    const bool enough = slots_ >= working(claims_);
    std::uint32_t room = room_for_bases(view_, claims_);
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      Claim& c = claims_[i];
      indices_.push_back(index(i));
      limit_look(i);
      limit_trial(i);
      // A job that was not heard yet has its fair share, so that it is; with fewer slots than jobs one, before all others. Of a group it is for the group's
      // rule to say.
      c.base = c.min;
      if (c.job->reports >= 2 || (places_[i].member && !places_[i].first)) continue;
      const bool turn = c.deficit_ns >= 0;
      const auto wanted = enough ? static_cast<std::uint32_t>(c.share) : turn ? 1U : 0U;
      const std::uint32_t more = std::min(room, std::min(c.max, wanted) - std::min({c.max, wanted, c.base}));
      c.base += more, room -= more;
    }
    price_ = serve_in_order(view_, claims_, indices_, {}, /*stale=*/true);
  }

  /// What many slots are worth is learnt from jobs that were seen with few and with many. Where newcomers have all of them from their first step nobody ever
  /// is, and the index would be kept however concave speed-up is: every kTrialOf-th one begins with half of them, or its fair share.
  void limit_trial(std::size_t i) {
    Claim& c = claims_[i];
    if (slots_ <= kFewSlots || places_[i].member || c.job->id.value % kTrialOf != 0 || !unheard(c)) return;
    c.max = std::max(c.min, std::min(c.max, std::max(static_cast<std::uint32_t>(c.share), c.max / 2)));
  }
  /// A leader has no more slots than it is better off with. A member that is looked at has no more slots than tell something within a quantum; where there are
  /// more than that for everyone, its fair share.
  void limit_look(std::size_t i) {
    Claim& c = claims_[i];
    if (places_[i].slots > 0) c.max = c.full = std::max(c.min, std::min(c.max, places_[i].slots));
    if (!(places_[i].look > 0)) return;
    const double needs = std::floor(std::max({1.0, c.share, places_[i].look / quantum_of(view_, *c.job).seconds()}));
    if (needs < c.max) c.max = std::max(c.min, static_cast<std::uint32_t>(needs));
  }

  // --- the root rule -----------------------------------------------------------------------------------------------------------------------------------------

  void share() {
    RootShares flat;
    flat.resize(claims_.size());
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      flat.root[i] = std::sqrt(worth_[i]);
      flat.min[i] = c.min, flat.max[i] = c.max, flat.full[i] = c.full, flat.held[i] = c.job->slots;
      flat.rounding[i] = static_cast<float>(c.job->rounding), flat.deficit_ns[i] = static_cast<double>(c.job->deficit_ns);
      flat.quantum_ns[i] = static_cast<double>(quantum_of(view_, *c.job).ns), flat.since[i] = c.job->quantum_since;
    }
    flat.decide(slots_, {view_.now, view_.elapsed, view_.round});
    price_ = flat.price();
    for (std::size_t i = 0; i < claims_.size(); ++i)
      claims_[i].share = flat.share(i), claims_[i].slots = flat.slots[i], claims_[i].deficit_ns = static_cast<std::int64_t>(flat.next_deficit_ns[i]);
    rounding_.assign(flat.next_rounding.begin(), flat.next_rounding.end());
  }

  void explain(std::size_t i, JobDecision& d) const {
    const Claim& c = claims_[i];
    if (!d.sentence.empty()) return;
    const bool more = c.slots > 0;
    if (c.job->phase == JobPhase::kEvaluating && more) {
      d.reason = Reason::kFinishFirst;
      d.sentence = "its final evaluation is finished first";
    } else if (places_[i].member) {
      const GroupPlace& place = places_[i];
      d.reason = more ? (c.max > c.min ? Reason::kLargestDrop : Reason::kSpare) : Reason::kSmallerDrop;
      d.sentence = place.leads ? fmt::format("the best of {} is predicted to end here: {:.2f} of the group's loss is left", c.job->group, place.remaining)
                               : fmt::format("instead of the leader of {} it may lower the group's best by {:.2g} of its range, {:.2g} a slot-second{}",
                                             c.job->group, place.improvement, place.index, more ? "" : ": paused");
    } else if (linear_) {
      d.reason = !c.quantum_over && more ? Reason::kQuantum : more ? Reason::kLargestDrop : Reason::kSmallerDrop;
      d.sentence = fmt::format("{}: {:.3g} of its loss a slot-second, {:.2f} of it left", more ? "served by its index" : "others' index is larger", d.index,
                               remaining_[i]);
    } else {
      d.reason = c.share >= 1 ? Reason::kShare : more ? Reason::kTurn : Reason::kWaitingTurn;
      d.sentence = fmt::format("{:.2f} of its loss is left: a share of {:.2f} of {} slots at the price {:.3g}", remaining_[i], c.share, slots_, price_);
    }
  }

  const ClusterView& view_;
  Hearing hearing_;
  RootWorth aged_;
  std::vector<Claim> claims_;
  std::uint32_t slots_;
  double usual_ = 0, price_ = 0;
  std::vector<GroupPlace> places_;
  std::vector<double> remaining_, worth_, indices_;
  std::vector<std::int64_t> rounding_;
  bool linear_ = false;
};

class ShareRule final : public Policy {
 public:
  ShareRule(std::string_view name, Hearing hearing) : name_(name), hearing_(hearing) {}
  std::string_view name() const override { return name_; }
  std::uint32_t version() const override { return 11; }
  Decision decide(const ClusterView& view, Memo& memo) const override {
    Sharing sharing(view, hearing_);
    sharing.run();
    return sharing.decision(memo.all_sentences);
  }
  std::unique_ptr<Incremental> make_incremental() const override { return make_share_keeper(hearing_); }
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

 private:
  std::string_view name_;
  Hearing hearing_;
};

}  // namespace

bool near_linear(const ClusterView& view, std::uint32_t slots, double stall, double jobs) {
  if (stall > (view.by_index ? kStillDear : 1) * kDearMove * view.round.seconds() * jobs) return false;
  if (slots <= kFewSlots) return true;
  if (view.usual_kappa < 0) return view.by_index;
  return 1 / (1 + view.usual_kappa * (slots - 1)) >= (view.by_index ? kStillLinear : kNearLinear);
}

double rate_alone(const JobView& job) { return std::max(0.0, job.speed_up.alone > 0 ? job.speed_up.alone : job.steps_per_slot_second); }

double remaining_slot_seconds(const JobView& job, double rate) {
  return rate > 0 && job.total_steps > 0 ? std::max(1.0, job.total_steps - static_cast<double>(job.step)) / rate : 0;
}

double end_deviation(const JobView& job) { return job.end_deviation > 0 || job.forecast.empty() ? job.end_deviation : job.forecast.back().deviation; }

double remaining_loss(const JobView& job, Hearing hearing, double usual) {
  if (hearing == Hearing::kAttained) return usual > 0 ? 1 / (1 + job.attained / usual) : 1;
  const double prior = job.total_steps > 0 ? std::clamp(job.prior_remaining, 0.0, 1.0) : 1;
  if (hearing == Hearing::kProgress || job.reports < 2) return prior;
  const double floor = job.declared ? job.end_loss : job.floor;
  const double fit = job.first_loss > floor ? std::clamp((job.level - floor) / (job.first_loss - floor), 0.0, 1.0) : 1;
  const double w = prior_weight(job);
  const double root = w * std::sqrt(prior) + (1 - w) * std::sqrt(fit);
  return root * root;
}

std::unique_ptr<Policy> make_share_rule(std::string_view name, Hearing hearing) { return std::make_unique<ShareRule>(name, hearing); }

}  // namespace sluice::manager
