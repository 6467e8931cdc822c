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
constexpr double kEarly = 0.95;         ///< more than this left as a rule: past jobs do not tell an end
constexpr double kPastSurest = 0.01;    ///< of the range: past jobs tell nothing better
constexpr double kHeld = 1.25;          ///< who serves goes on until another is worth so many times as much

double expected_improvement(double ahead, double deviation) {
  if (!(deviation > 0)) return std::max(0.0, ahead);
  const double z = ahead / deviation;
  return deviation * (std::exp(-z * z / 2) / std::sqrt(2 * std::numbers::pi) + z * 0.5 * std::erfc(-z / std::numbers::sqrt2));
}

struct End {
  double loss = 0, deviation = 0;
};

/// Where a member is foretold to end and how far off that may be: by its own forecast, and by what past jobs had left at its share of the steps; each weighs
/// the inverse of its variance. A forecast over a whole length allows for what no report shows; of a member of which little is left as a rule it alone would
/// promise more than there is to come.
End end_of(const JobView& job) {
  const End own{job.declared ? job.end_loss : job.floor, end_deviation(job)};
  const double left = std::clamp(job.prior_remaining, 0.0, 1.0), fallen = job.first_loss - job.loss;
  if (!(job.total_steps > 0) || !(job.prior_deviation > 0) || !(own.deviation > 0) || !(fallen > 0) || left > kEarly) return own;
  const double range = fallen / (1 - left);
  const End past{job.first_loss - range, std::max(job.prior_deviation, kPastSurest) * range / (1 - left)};
  const double mine = 1 / (own.deviation * own.deviation), theirs = 1 / (past.deviation * past.deviation);
  return {(mine * own.loss + theirs * past.loss) / (mine + theirs), 1 / std::sqrt(mine + theirs)};
}

class Group {
 public:
  Group(std::span<const Claim> claims, std::span<GroupPlace> places, std::vector<std::size_t> members)
      : claims_(claims), places_(places), members_(std::move(members)) {}

  void decide() {
    for (const std::size_t i : members_) ends_[i] = end_of(job(i));
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
        place.index = fall(i);
        place.value = remaining_;
      } else {
        explore(i, place);
        if (heard(i)) place.index = std::max(place.index, fall(i));
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

  void find_leader() {
    double first = 0, sum = 0, squares = 0;
    leader_ = members_.front();
    for (const std::size_t i : members_) {
      if (!heard(i) || !usable(i)) continue;
      first = heard_ == 0 ? job(i).first_loss : std::max(first, job(i).first_loss);
      if (heard_ == 0 || ends_[i].loss < ends_[leader_].loss) leader_ = i;
      sum += ends_[i].loss, squares += ends_[i].loss * ends_[i].loss;
      ++heard_;
    }
    if (heard_ == 0) return;
    // Without a report there is none yet (a yardstick may know more than was reported).
    best_ = job(leader_).group_best != 0 ? job(leader_).group_best : first;
    end_ = ends_[leader_].loss;
    range_ = std::max(first - std::min(end_, best_), 1e-9 * std::abs(first) + 1e-12);
    remaining_ = std::clamp((best_ - end_) / range_, 0.0, 1.0);
    const double n = static_cast<double>(heard_);
    mean_end_ = sum / n;
    spread_ = std::max(std::sqrt(std::max(0.0, squares / n - mean_end_ * mean_end_)), kUnheardSpread * range_ / n);
  }
  /// The best average slope of the group's best loss that a member brings, a slot-second.
  [[nodiscard]] double fall(std::size_t i) const {
    const JobView& j = job(i);
    const double left = remaining_slot_seconds(j), most = std::clamp((best_ - ends_.at(i).loss) / range_, 0.0, 1.0);
    double best = left > 0 ? most / left : 0;
    for (const ForecastKnot& knot : j.forecast)
      best = std::max(best, std::min(most, (best_ - j.loss + knot.drop) / range_) * j.steps_per_slot_second / knot.steps);
    return best;
  }
  void explore(std::size_t i, GroupPlace& place) const {
    const JobView &j = job(i), &like = heard(i) ? j : job(leader_);
    const End own = heard(i) ? ends_.at(i) : End{mean_end_, spread_};
    const double improvement = expected_improvement(end_ - own.loss, std::hypot(own.deviation, ends_.at(leader_).deviation));
    place.value = place.improvement = std::clamp(improvement / range_, 0.0, 1.0);
    const double rate = like.speed_up.alone > 0 ? like.speed_up.alone : like.steps_per_slot_second;
    const double steps = std::max({static_cast<double>(j.step), like.total_steps / kTellingShare, 1.0});
    place.index = rate > 0 ? kCuriosity * place.improvement * rate / steps : 0;
  }

  std::span<const Claim> claims_;
  std::span<GroupPlace> places_;
  std::vector<std::size_t> members_;
  std::map<std::size_t, End> ends_;  ///< by member
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
