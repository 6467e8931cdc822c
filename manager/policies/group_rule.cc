#include "manager/policies/group_rule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string>

#include "manager/policies/share_rule.h"
#include "manager/policy.h"

namespace sluice::manager {
namespace {

constexpr double kCuriosity = 1;        ///< of an expected improvement, against a leader's fall
constexpr double kUnheardSpread = 0.1;  ///< of the group's range: how far apart members end before some were heard
constexpr double kTellingShare = 27;    ///< the least that tells is this part of all steps
constexpr double kHeld = 1.25;          ///< who serves goes on until another is worth so many times as much

double expected_improvement(double ahead, double deviation) {
  if (!(deviation > 0)) return std::max(0.0, ahead);
  const double z = ahead / deviation;
  return deviation * (std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi) + z * 0.5 * std::erfc(-z / std::numbers::sqrt2));
}

class Group {
 public:
  Group(std::span<const Claim> claims, std::span<GroupPlace> places, std::vector<std::size_t> members)
      : claims_(claims), places_(places), members_(std::move(members)) {}

  void decide() {
    find_leader();
    for (const std::size_t i : members_) {
      GroupPlace& place = places_[i];
      place.member = true;
      place.remaining = remaining_;
      place.leads = i == leader_;
      if (!usable(i)) continue;
      if (heard_ == 0) {
        place.index = job(i).prior_slope * job(i).steps_per_slot_second;
      } else if (place.leads) {
        place.index = fall(job(i));
        place.value = remaining_;
      } else {
        explore(i, place);
        if (heard(i)) place.index = std::max(place.index, fall(job(i)));
      }
    }
    std::size_t serves = members_.front();
    double best = -1;
    for (const std::size_t i : members_) {
      const double index = usable(i) ? (places_[i].index + 1e-12) * (job(i).slots > 0 ? kHeld : 1) : -0.5;
      if (index > best) best = index, serves = i;
    }
    places_[serves].serves = true;
    if (heard_ > 0) return;
    for (const std::size_t i : members_) places_[i].value = i == serves ? 1 : kUnheardSpread;
  }

 private:
  [[nodiscard]] const JobView& job(std::size_t i) const { return *claims_[i].job; }
  [[nodiscard]] bool usable(std::size_t i) const { return claims_[i].max > claims_[i].min || job(i).slots > 0; }
  [[nodiscard]] bool heard(std::size_t i) const { return job(i).reports >= 2; }
  [[nodiscard]] static double end_of(const JobView& job) { return job.declared ? job.end_loss : job.floor; }

  void find_leader() {
    double first = 0, sum = 0, squares = 0;
    leader_ = members_.front();
    for (const std::size_t i : members_) {
      if (!heard(i) || !usable(i)) continue;
      first = heard_ == 0 ? job(i).first_loss : std::max(first, job(i).first_loss);
      if (heard_ == 0 || end_of(job(i)) < end_of(job(leader_))) leader_ = i;
      sum += end_of(job(i)), squares += end_of(job(i)) * end_of(job(i));
      ++heard_;
    }
    if (heard_ == 0) return;
    // Without a report there is none yet (a yardstick may know more than was reported).
    best_ = job(leader_).group_best != 0 ? job(leader_).group_best : first;
    end_ = end_of(job(leader_));
    range_ = std::max(first - std::min(end_, best_), 1e-9 * std::abs(first) + 1e-12);
    remaining_ = std::clamp((best_ - end_) / range_, 0.0, 1.0);
    const double n = static_cast<double>(heard_);
    mean_end_ = sum / n;
    spread_ = std::max(std::sqrt(std::max(0.0, squares / n - mean_end_ * mean_end_)), kUnheardSpread * range_ / n);
  }
  /// The best average slope of the group's best loss that a member brings, a slot-second.
  [[nodiscard]] double fall(const JobView& j) const {
    const double left = remaining_slot_seconds(j), most = std::clamp((best_ - end_of(j)) / range_, 0.0, 1.0);
    double best = left > 0 ? most / left : 0;
    for (const ForecastKnot& knot : j.forecast)
      best = std::max(best, std::min(most, (best_ - j.loss + knot.drop) / range_) * j.steps_per_slot_second / knot.steps);
    return best;
  }
  void explore(std::size_t i, GroupPlace& place) const {
    const JobView &j = job(i), &like = heard(i) ? j : job(leader_);
    const double own = heard(i) ? end_of(j) : mean_end_, deviation = heard(i) ? end_deviation(j) : spread_;
    const double improvement = expected_improvement(end_ - own, std::hypot(deviation, end_deviation(job(leader_))));
    place.value = place.improvement = std::clamp(improvement / range_, 0.0, 1.0);
    const double rate = like.speed_up.alone > 0 ? like.speed_up.alone : like.steps_per_slot_second;
    const double steps = std::max({static_cast<double>(j.step), like.total_steps / kTellingShare, 1.0});
    place.index = rate > 0 ? kCuriosity * place.improvement * rate / steps : 0;
  }

  std::span<const Claim> claims_;
  std::span<GroupPlace> places_;
  std::vector<std::size_t> members_;
  std::size_t leader_ = 0, heard_ = 0;
  double best_ = 0, end_ = 0, range_ = 1, remaining_ = 1, mean_end_ = 0, spread_ = 0;
};

}  // namespace

std::vector<GroupPlace> places_in_groups(std::span<const Claim> claims) {
  std::vector<GroupPlace> places(claims.size());
  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < claims.size(); ++i)
    if (claims[i].job->best && !claims[i].job->group.empty() && claims[i].max > 0) groups[claims[i].job->group].push_back(i);
  for (auto& [name, members] : groups) Group(claims, places, std::move(members)).decide();
  return places;
}

}  // namespace sluice::manager
