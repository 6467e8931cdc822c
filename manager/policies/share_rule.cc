#include "manager/policies/share_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "manager/policies/claims.h"
#include "manager/policies/group_rule.h"
#include "manager/policies/in_order.h"

namespace sluice::manager {
namespace {

constexpr double kPriorReports = 30;
constexpr double kFitVariance = 0.3;    ///< of a forecast's squared deviation: how far a job's remaining loss is off by it is mostly less than its end
constexpr double kSurest = 0.01;        ///< of the range: nothing is known better
constexpr double kNearLinear = 0.9;     ///< s(n)/n at all slots
constexpr std::uint32_t kFewSlots = 8;  ///< so many or fewer are near-linear whatever was measured
constexpr double kStillLinear = 0.85;   ///< … where jobs are served by the index already
constexpr double kDearMove = 0.05;      ///< of a round: the index moves half of the slots a round
constexpr double kStillDear = 1.5;      ///< times that, where …
constexpr double kStrict = 4;
constexpr double kWorthMin = 1e-6;
constexpr double kMillion = 1e6;

/// Of what past jobs say, beside the job's own reports, 0 … 1: each weighs the inverse of its variance: of past jobs that among them, of the reports that of
/// the end foretold, which moves the remaining loss q by 1 − q. Where no end is foretold the reports weigh by their number.
double prior_weight(const JobView& job) {
  if (!(job.total_steps > 0)) return 0;
  const double floor = job.declared ? job.end_loss : job.floor, range = job.first_loss - floor;
  const double deviation = end_deviation(job);
  if (!(range > 0) || !(deviation > 0)) return kPriorReports / (kPriorReports + static_cast<double>(job.reports));
  const double done = 1 - std::clamp((job.loss - floor) / range, 0.0, 1.0), off = deviation / range * done;
  const double fit = kFitVariance * off * off + kSurest * kSurest, prior = job.prior_deviation * job.prior_deviation + kSurest * kSurest;
  return fit / (fit + prior);
}

class Sharing {
 public:
  Sharing(const ClusterView& view, Hearing hearing) : view_(view), hearing_(hearing), claims_(claims_of(view)), slots_(slots_of(view)) {
    double attained = 0, jobs = 0;
    for (const Claim& c : claims_)
      if (c.full > 0) attained += c.job->attained, ++jobs;
    usual_ = view.usual_attained > 0 ? view.usual_attained : jobs > 0 ? attained / jobs : 0;
    places_ = hearing == Hearing::kLoss ? places_in_groups(claims_) : std::vector<GroupPlace>(claims_.size());
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      const GroupPlace& place = places_[i];
      const double q = place.member ? place.value : remaining_loss(*c.job, hearing_, usual_);
      remaining_.push_back(q);
      worth_.push_back(c.job->weight * std::max(q + (place.member && !place.serves ? 0 : ageing(*c.job)), kWorthMin));
    }
    linear_ = near_linear();
  }

  void run() {
    if (linear_)
      serve();
    else
      share();
  }

  [[nodiscard]] Decision decision() const {
    Decision out;
    out.price = price_;
    out.by_index = linear_;
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      JobDecision& d = out.jobs.emplace_back(decided(view_, c));
      d.rounding = rounding_.empty() ? 0 : rounding_[i];
      d.index = linear_ ? index(i) : worth_[i];
      explain(i, d);
      if (c.slots < c.max && (linear_ || c.share > c.slots)) out.refused.push_back({d.job, d.reason, d.index, d.sentence});
    }
    keep_largest(out.refused);
    return out;
  }

 private:
  /// Grows with the square of a job's age: who has waited as long as is usual hardly notices, the last ones do.
  [[nodiscard]] double ageing(const JobView& job) const {
    const double stay = view_.usual_stay.seconds();
    if (!(stay > 0)) return 0;
    const double age = job.age.seconds() / stay;
    return view_.fairness.strict ? kStrict * std::max(0.0, job.behind.seconds()) / stay * age : view_.fairness.ageing * age * age;
  }

  /// With hysteresis: measurements near a limit do not make the rule change to and fro.
  [[nodiscard]] bool near_linear() const {
    double stall = 0, jobs = 0;
    for (const Claim& c : claims_)
      if (c.full > 0) stall += c.job->move_cost.seconds(), ++jobs;
    if (stall > (view_.by_index ? kStillDear : 1) * kDearMove * view_.round.seconds() * jobs) return false;
    if (slots_ <= kFewSlots) return true;
    if (view_.usual_kappa < 0) return view_.by_index;
    return 1 / (1 + view_.usual_kappa * (slots_ - 1)) >= (view_.by_index ? kStillLinear : kNearLinear);
  }

  // --- the index: served in descending order -----------------------------------------------------------------------------------------------------------------

  /// The best average slope ahead, or the jump of all that is left at its end; per slot-second.
  [[nodiscard]] double index(std::size_t i) const {
    const JobView& job = *claims_[i].job;
    if (places_[i].member) return job.weight * places_[i].index + (places_[i].serves ? waited(job) : 0);
    const double left = remaining_slot_seconds(job);
    double best = 0;
    if (hearing_ == Hearing::kAttained) return worth_[i];
    if (left > 0) best = worth_[i] / left;
    best += waited(job);
    if (hearing_ != Hearing::kLoss || !(job.steps_per_slot_second > 0)) return best;
    const double range = job.first_loss - (job.declared ? job.end_loss : job.floor), w = prior_weight(job);
    double fit = 0;
    if (range > 0)
      for (const ForecastKnot& knot : job.forecast) fit = std::max(fit, std::min(remaining_[i], knot.drop / range) / knot.steps);
    return std::max(best, job.weight * ((1 - w) * fit + w * job.prior_slope) * job.steps_per_slot_second + waited(job));
  }
  /// It does not fall with the job's length: who is long waits, but not for ever.
  [[nodiscard]] double waited(const JobView& job) const { return usual_ > 0 ? job.weight * ageing(job) / usual_ : 0; }
  void serve() {
    const bool enough = slots_ >= working(claims_);
    std::uint32_t room = room_for_bases(view_, claims_);
    std::vector<double> indices;
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      Claim& c = claims_[i];
      indices.push_back(index(i));
      // A job that was not heard yet has its fair share, so that it is; with fewer slots than jobs one, before all others.
      c.base = c.min;
      if (c.job->reports >= 2) continue;
      const bool turn = c.deficit_ns >= 0;
      const auto wanted = enough ? static_cast<std::uint32_t>(c.share) : turn ? 1U : 0U;
      const std::uint32_t more = std::min(room, std::min(c.max, wanted) - std::min({c.max, wanted, c.base}));
      c.base += more, room -= more;
    }
    price_ = serve_in_order(view_, claims_, indices, {}, /*stale=*/true);
  }

  // --- the root rule -----------------------------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] double share_at(std::size_t i, double level) const {
    const Claim& c = claims_[i];
    return std::clamp(level * std::sqrt(worth_[i]), static_cast<double>(c.min), static_cast<double>(c.max));
  }
  void fill() {
    double most = 0, low = 0, high = 0;
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      most += claims_[i].max;
      if (claims_[i].max > 0) high = std::max(high, (claims_[i].max + 1.0) / std::sqrt(worth_[i]));
    }
    for (int step = 0; step < 64 && most > slots_; ++step) {
      const double level = 0.5 * (low + high);
      double sum = 0;
      for (std::size_t i = 0; i < claims_.size(); ++i) sum += share_at(i, level);
      (sum <= slots_ ? low : high) = level;
    }
    if (most <= slots_) low = high;
    price_ = low > 0 ? 1 / (low * low) : 0;
    for (std::size_t i = 0; i < claims_.size(); ++i) claims_[i].share = share_at(i, low);
  }
  void share() {
    fill();
    std::int64_t left = slots_;
    std::vector<double> wants(claims_.size());  // slots beyond those given, with what is owed
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      Claim& c = claims_[i];
      const double carried = static_cast<double>(c.job->rounding) / kMillion, held = c.job->slots;
      const std::int64_t bound = quantum_of(view_, *c.job).ns * 64;
      c.deficit_ns = std::clamp<std::int64_t>(c.job->deficit_ns + std::llround((c.share - held) * static_cast<double>(view_.elapsed.ns)), -bound, bound);
      if (c.share >= 1 && c.job->slots > 0 && std::abs(c.share + carried - held) <= std::max(0.99, 0.05 * held))
        c.slots = std::clamp(c.job->slots, c.min, c.max);
      else if (c.share >= 1)
        c.slots = std::clamp(static_cast<std::uint32_t>(std::max(0.0, std::floor(c.share + carried))), std::max(c.min, std::min(1U, c.max)), c.max);
      else
        c.slots = std::max(c.min, !c.quantum_over && c.max > 0 ? std::min(c.job->slots, 1U) : 0U);
      wants[i] = c.share >= 1 ? c.share + carried - c.slots : static_cast<double>(c.deficit_ns) / static_cast<double>(view_.round.ns) - c.slots;
      left -= c.slots;
    }
    settle(left, wants);
    for (std::size_t i = 0; i < claims_.size(); ++i) {
      const Claim& c = claims_[i];
      const double error = c.share >= 1 ? std::clamp(static_cast<double>(c.job->rounding) / kMillion + c.share - c.slots, -1.0, 1.0) : 0;
      rounding_.push_back(std::llround(error * kMillion));
    }
  }
  /// One slot at a time to who lacks most, or from who has most too many; ties by job id.
  void settle(std::int64_t left, std::vector<double>& wants) {
    std::vector<std::size_t> order(claims_.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    while (left != 0) {
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return left > 0 ? wants[a] > wants[b] : wants[a] < wants[b]; });
      const std::int64_t before = left;
      for (const std::size_t i : order) {
        Claim& c = claims_[i];
        if (left > 0 && c.slots < c.max) ++c.slots, --left, wants[i] -= 1;
        if (left < 0 && c.slots > c.min) --c.slots, ++left, wants[i] += 1;
        if (left == 0) return;
      }
      if (left == before) break;
    }
    if (left > 0) give_spare(claims_, static_cast<std::uint32_t>(left));
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
                               : fmt::format("it may improve on what the leader of {} comes to by {:.2g} of the range, {:.2g} a slot-second{}", c.job->group,
                                             place.improvement, place.index, more ? "" : ": paused");
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
  std::vector<Claim> claims_;
  std::uint32_t slots_;
  double usual_ = 0, price_ = 0;
  std::vector<GroupPlace> places_;
  std::vector<double> remaining_, worth_;
  std::vector<std::int64_t> rounding_;
  bool linear_ = false;
};

class ShareRule final : public Policy {
 public:
  ShareRule(std::string_view name, Hearing hearing) : name_(name), hearing_(hearing) {}
  std::string_view name() const override { return name_; }
  std::uint32_t version() const override { return 4; }
  Decision decide(const ClusterView& view, std::span<const JobId>, Memo&) const override {
    Sharing sharing(view, hearing_);
    sharing.run();
    return sharing.decision();
  }
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }

 private:
  std::string_view name_;
  Hearing hearing_;
};

}  // namespace

double remaining_slot_seconds(const JobView& job) {
  const double rate = job.speed_up.alone > 0 ? job.speed_up.alone : job.steps_per_slot_second;
  return rate > 0 && job.total_steps > 0 ? std::max(1.0, job.total_steps - static_cast<double>(job.step)) / rate : 0;
}

double end_deviation(const JobView& job) { return job.end_deviation > 0 || job.forecast.empty() ? job.end_deviation : job.forecast.back().deviation; }

double remaining_loss(const JobView& job, Hearing hearing, double usual) {
  if (hearing == Hearing::kAttained) return usual > 0 ? 1 / (1 + job.attained / usual) : 1;
  const double prior = job.total_steps > 0 ? std::clamp(job.prior_remaining, 0.0, 1.0) : 1;
  if (hearing == Hearing::kProgress || job.reports < 2) return prior;
  const double floor = job.declared ? job.end_loss : job.floor;
  const double fit = job.first_loss > floor ? std::clamp((job.loss - floor) / (job.first_loss - floor), 0.0, 1.0) : 1;
  const double w = prior_weight(job);
  const double root = w * std::sqrt(prior) + (1 - w) * std::sqrt(fit);
  return root * root;
}

std::unique_ptr<Policy> make_share_rule(std::string_view name, Hearing hearing) { return std::make_unique<ShareRule>(name, hearing); }

}  // namespace sluice::manager
