#include "manager/policies/group_rule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "manager/policies/group_ends.h"
#include "manager/policy.h"

namespace sluice::manager {
namespace {

constexpr double kUnheardSpread = 0.1;  ///< of the group's range: how far apart members end before some were heard
constexpr double kUsualGap = 0.5;       ///< of the group's scale: between the best end and one that is better, before some were heard; over their number
constexpr double kOwnPart = 0.5;        ///< of a deviation: the rest is what a group's members have in common, and does not tell them apart
constexpr double kHeld = 1.25;          ///< who serves goes on until another is worth so many times as much
constexpr double kLeastBrings = 1e-3;   ///< of the range: what a leader's wait costs at least
constexpr double kLeastIndex = 1e-6;    ///< of a whole range over a whole length: who is worth nothing else is in an order all the same

/// A member's way to its end, as it goes in a window ahead with one slot.
class Way {
 public:
  /// From `step` on, as the −½th power of the steps. `rate`: steps a second; `window`: seconds. `fresh`: what a step counts, as its gradient may be stale: it
  /// takes as many steps as it declared, and comes as much less far.
  Way(double step, double steps, double rate, double window, double fresh = 1) {
    const double end = std::sqrt(step / steps), last = step + fresh * (steps - step);
    for (std::size_t k = 0; k < kPoints; ++k) {
      const double at = std::min(last, step + fresh * rate * window * moment(k) * moment(k));
      left_[k] = (std::sqrt(step / at) - end) / (1 - end);
    }
  }
  /// From the first step on, where another one had `left` of it at `step` > 1: by the logarithm of the steps, up to there and from there.
  static Way like_another(double left, double step, double steps, double rate, double window) {
    Way out;
    for (std::size_t k = 0; k < kPoints; ++k) {
      const double at = std::min(steps, 1 + rate * window * moment(k) * moment(k));
      out.left_[k] = at <= step ? 1 - (1 - left) * log_of(at) / log_of(step) : left * (1 - log_of(at / step) / log_of(steps / step));
    }
    return out;
  }
  /// Mean over the window of a group's best, which is `best` now, if the loss goes from `from` to `end`.
  [[nodiscard]] double mean_best(double from, double end, double best) const {
    double sum = 0;
    for (std::size_t k = 0; k < kPoints; ++k) sum += 2 * moment(k) * std::min(best, end + (from - end) * left_[k]);
    return sum / static_cast<double>(kPoints);
  }
  /// Share of the way that is left at the window's end, nearly.
  [[nodiscard]] double left() const { return left_.back(); }

 private:
  Way() = default;
  static constexpr std::size_t kPoints = 24;
  /// Moments are their squares: closer together at first, where losses fall fast.
  static double moment(std::size_t k) { return (static_cast<double>(k) + 0.5) / static_cast<double>(kPoints); }
  std::array<double, kPoints> left_{};
};

class Group {
 public:
  Group(const ClusterView& view, std::span<const Claim> claims, std::span<GroupPlace> places, std::vector<std::size_t> members)
      : claims_(claims),
        places_(places),
        members_(std::move(members)),
        quantum_(std::max(view.round, view.quantum_min).seconds()),
        slots_(std::max(1U, slots_of(view))) {}

  void decide() {
    tell_ends();
    hear();
    if (heard_ > 0) find_leader();
    for (const std::size_t i : members_) {
      GroupPlace& place = places_[i];
      place.member = true;
      place.remaining = remaining_;
      place.leads = i == leader_;
      if (!usable(i)) continue;
      if (heard_ == 0) {
        place.index = job(i).prior_slope * job(i).steps_per_slot_second;
        place.look = quantum_;
      } else if (place.leads) {
        place.index = std::max(fall(i), least(i));
        place.value = remaining_;
        place.slots = slots_of_leader();
      } else {
        explore(i, place);
      }
    }
    if (heard_ > 0) price_looks();
    std::size_t serves = members_.front();
    double best = -1;
    for (const std::size_t i : members_) {
      const double index = usable(i) ? (places_[i].index + 1e-12) * (job(i).slots > 0 ? kHeld : 1) : -0.5;
      if (index > best) best = index, serves = i;
    }
    places_[serves].serves = true;
    places_[serves].first = heard_ == 0;
    if (heard_ > 0) return;
    for (const std::size_t i : members_) places_[i].value = i == serves ? 1 : kUnheardSpread;
  }

 private:
  [[nodiscard]] const JobView& job(std::size_t i) const { return *claims_[i].job; }
  [[nodiscard]] bool usable(std::size_t i) const { return claims_[i].max > claims_[i].min || job(i).slots > 0; }
  [[nodiscard]] bool heard(std::size_t i) const { return was_heard(job(i)); }
  /// Of one that was not measured yet (it was resumed with its curve, say): the mean of those that were.
  [[nodiscard]] double rate_of(const JobView& j) const {
    const double rate = rate_alone(j);
    return rate > 0 ? rate : usual_rate_;
  }
  [[nodiscard]] Way way(const JobView& j) const {
    const double step = std::max(1.0, static_cast<double>(j.step));
    return {step, steps_of(j), rate_of(j), window_};
  }

  void tell_ends() {
    std::vector<const JobView*> jobs;
    for (const std::size_t i : members_) jobs.push_back(&job(i));
    const std::vector<End> ends = ends_of(jobs);
    for (std::size_t k = 0; k < members_.size(); ++k) ends_[members_[k]] = ends[k];
  }

  /// What those that were heard say of the group as a whole: where they end, how long a window is.
  void hear() {
    leader_ = members_.front();
    std::size_t lowest = leader_;
    double first = 0, rates = 0, measured = 0;
    std::vector<double> ends;
    for (const std::size_t i : members_)
      if (const double rate = rate_alone(job(i)); rate > 0) rates += rate, ++measured;
    if (measured > 0) usual_rate_ = rates / measured;
    for (const std::size_t i : members_) {
      if (!heard(i) || !usable(i)) continue;
      first = heard_ == 0 ? job(i).first_loss : std::max(first, job(i).first_loss);
      if (heard_ == 0 || ends_[i].loss < ends_[lowest].loss) lowest = i;
      ends.push_back(ends_[i].loss);
      ++heard_;
    }
    if (heard_ == 0) return;
    told_ = heard_;
    first_ = first, low_end_ = ends_[lowest].loss;
    // Without a report there is none yet (a yardstick may know more than was reported).
    best_ = job(lowest).group_best != 0 ? job(lowest).group_best : first;
    window_ = steps_of(job(lowest)) / rate_of(job(lowest));
    range_ = std::max(first - std::min(low_end_, best_), 1e-9 * std::abs(first) + 1e-12);
    gap_ = gap_of(std::move(ends));
  }

  /// How far below the lowest end that is told another one may be that is better: as far as the ends of the better half are from each other, and, as if one
  /// had been heard before them, as far as that may be anywhere.
  [[nodiscard]] double gap_of(std::vector<double> ends) const {
    const double n = static_cast<double>(ends.size());
    const std::size_t half = std::max<std::size_t>(1, ends.size() / 2);
    double low_half = 0;
    std::sort(ends.begin(), ends.end());
    for (std::size_t k = 0; k < half; ++k) low_half += ends[k] / static_cast<double>(half);
    return (kUsualGap * std::max(range_, std::abs(ends.front())) / n + 2 * (low_half - ends.front())) / (1 + n);
  }

  /// Nobody is foretold to come below what was reached, perhaps because who led has failed or ended. Members that have told nothing yet are then as good as any
  /// that was not heard; those that did, and what was reached, say where one may end that is better.
  void begin_again() {
    std::vector<double> ends = {best_};
    for (const std::size_t i : members_)
      if (usable(i) && has_told(job(i))) ends.push_back(std::max(best_, ends_[i].loss));
    again_ = true;
    told_ = ends.size(), low_end_ = best_, gap_ = gap_of(std::move(ends));
  }

  void find_leader() {
    double lowest = 0;
    bool any = false;
    for (const std::size_t i : members_) {
      if (!heard(i) || !usable(i)) continue;
      const double mean = way(job(i)).mean_best(job(i).loss, ends_[i].loss, best_);
      if (any && mean >= lowest) continue;
      any = true, lowest = mean, leader_ = i;
    }
    // Nobody is foretold to come below what was reached: who may do so first leads.
    if (any && lowest >= best_ - 1e-9 * range_) {  // a mean of what is the same is that but for its last bits
      for (const std::size_t i : members_)
        if (heard(i) && usable(i) && hope(i) > hope(leader_)) leader_ = i;
      begin_again();
    }
    const JobView& leader = job(leader_);
    const double end = ends_[leader_].loss;
    mean_ = lowest;
    brings_ = std::max(best_ - (end + (leader.loss - end) * way(leader).left()), kLeastBrings * range_);
    remaining_ = std::clamp((best_ - end) / range_, 0.0, 1.0);
  }

  /// 0 … 1: how near its end is to being better than what was reached.
  [[nodiscard]] double hope(std::size_t i) const {
    const End& end = ends_.at(i);
    const double deviation = end.deviation + 1e-9 * range_;
    return deviation / (deviation + std::max(0.0, end.loss - best_));
  }
  [[nodiscard]] double least(std::size_t i) const { return kLeastIndex * hope(i) * rate_of(job(i)) / steps_of(job(i)); }

  /// The best average slope of the group's best loss that a member brings, a slot-second.
  [[nodiscard]] double fall(std::size_t i) const {
    const JobView& j = job(i);
    const double left = std::max(0.0, j.total_steps - static_cast<double>(j.step)) / rate_of(j),
                 most = std::clamp((best_ - ends_.at(i).loss) / range_, 0.0, 1.0);
    double best = left > 0 ? most / left : 0;
    for (const ForecastKnot& knot : j.forecast)
      best = std::max(best, std::min(most, (best_ - j.loss + knot.drop) / range_) * j.steps_per_slot_second / knot.steps);
    return best;
  }

  /// How many slots the leader is better off with, where several make its gradients stale: with n of them it goes faster, and ends sooner and higher, for the
  /// steps that it declared bring less each. By the mean of the group's best until all members have ended, which is how long the group lasts.
  [[nodiscard]] std::uint32_t slots_of_leader() const {
    const JobView& j = job(leader_);
    const std::uint32_t most = claims_[leader_].max;
    if (!(j.speed_up.efficiency(2) < 1)) return most;
    double work = 0;
    for (const std::size_t i : members_) work += std::max(0.0, steps_of(job(i)) - static_cast<double>(job(i).step)) / rate_of(job(i));
    const double lasts = std::max(window_, work / slots_), step = std::max(1.0, static_cast<double>(j.step));
    double least = 0;
    std::uint32_t out = 1;
    for (std::uint32_t n = 1; n <= most; n = n == most ? most + 1 : std::min(most, 2 * n)) {
      const Way ahead(step, steps_of(j), n * rate_of(j), lasts, j.speed_up.efficiency(n));
      const double mean = ahead.mean_best(j.loss, ends_.at(leader_).loss, best_);
      if (n == 1 || mean <= least) least = mean, out = n;
    }
    return out;
  }

  /// E[(the leader's mean − its own)⁺].
  [[nodiscard]] double gain_of(std::size_t i) const {
    /// Of a bell curve, the middles of twelve equal parts.
    static constexpr std::array<double, 12> kParts = {-1.73, -1.15, -0.81, -0.55, -0.32, -0.10, 0.10, 0.32, 0.55, 0.81, 1.15, 1.73};
    const End& end = ends_.at(i);
    const double deviation = kOwnPart * end.deviation;
    if (end.loss + kParts.front() * deviation >= mean_) return 0;
    const Way ahead = way(job(i));
    double gain = 0;
    for (const double part : kParts) gain += std::max(0.0, mean_ - ahead.mean_best(job(i).loss, end.loss + part * deviation, best_));
    return gain / static_cast<double>(kParts.size());
  }
  /// The same of one that was not heard: it is the best of all with one chance in as many as there are then, whoever they are, and falls as the leader did.
  [[nodiscard]] double gain_of_unheard() {
    if (unheard_) return *unheard_;
    const JobView& leader = job(leader_);
    const double end = ends_.at(leader_).loss, left = std::clamp((leader.loss - end) / std::max(first_ - end, 1e-9 * range_), 0.01, 0.99);
    const auto step = static_cast<double>(leader.step);
    const double steps = steps_of(leader), rate = rate_of(leader);
    const Way ahead = step >= 2 && step < 0.99 * steps ? Way::like_another(left, step, steps, rate, window_) : Way(1, steps, rate, window_);
    unheard_ = std::max(0.0, mean_ - ahead.mean_best(first_, low_end_ - gap_, best_)) / static_cast<double>(told_ + 1);
    return *unheard_;
  }

  void explore(std::size_t i, GroupPlace& place) {
    const JobView &j = job(i), &like = heard(i) ? j : job(leader_);
    const double own = heard(i) ? gain_of(i) : 0, gain = heard(i) && (has_told(j) || !again_) ? own : std::max(own, gain_of_unheard());
    const double done = heard(i) ? static_cast<double>(j.step) : 0;
    place.look = std::max({done, steps_of(like) / kTellingShare, 1.0}) / rate_of(like);
    place.value = place.improvement = std::clamp(gain / range_, 0.0, 1.0);
    const double seconds = std::max(place.look, quantum_);
    place.index = gain * window_ / (seconds * brings_);
    if (place.index > 1) worth_ = std::max(worth_, place.improvement / seconds);
  }
  /// From what looks are worth over their price to indices: within the group a look comes before the leader where it is worth more than it costs; to jobs of
  /// other groups it is then worth what looks may bring, and hardly more for being many times its price, which may be next to nothing.
  void price_looks() {
    const double leads = fall(leader_), most = std::max(leads, worth_);
    for (const std::size_t i : members_) {
      if (i == leader_ || !usable(i)) continue;
      const double times = places_[i].index;
      places_[i].index = std::max(times <= 1 ? leads * times : most * (1 + log_of(times)), least(i));
    }
  }

  std::span<const Claim> claims_;
  std::span<GroupPlace> places_;
  std::vector<std::size_t> members_;
  std::map<std::size_t, End> ends_;  ///< by member
  double quantum_;                   ///< seconds: the shortest look
  double slots_;                     ///< of the cluster
  double usual_rate_ = 1;            ///< of the members, steps a slot-second
  std::size_t leader_ = 0, heard_ = 0, told_ = 0;
  double first_ = 0, best_ = 0, range_ = 1;    ///< of the group: the highest first loss, the best so far, from the one to the lowest end
  double low_end_ = 0, gap_ = 0;               ///< the lowest end foretold; see hear()
  double window_ = 1, mean_ = 0, brings_ = 1;  ///< slot-seconds; the leader's mean over it; what the leader takes off the best by its end
  double worth_ = 0;                           ///< of the best look that is worth its price, of the range a slot-second
  bool again_ = false;                         ///< see begin_again()
  double remaining_ = 1;                       ///< of the group's loss
  std::optional<double> unheard_;              ///< gain_of_unheard()
};

}  // namespace

std::vector<GroupPlace> places_in_groups(const ClusterView& view, std::span<const Claim> claims) {
  std::vector<GroupPlace> places(claims.size());
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < claims.size(); ++i)
    if (claims[i].job->best && !claims[i].job->group.empty() && claims[i].max > 0) groups[claims[i].job->group].push_back(i);
  for (auto& [name, members] : groups) Group(view, claims, places, std::move(members)).decide();
  return places;
}

}  // namespace sluice::manager
