#include "sim/group_score.h"

#include <algorithm>

namespace sluice::sim {

void GroupScore::add(const Track& member) {
  const Curve& curve = member.job().curve;
  first_ = members_.empty() ? curve.first() : std::max(first_, curve.first());
  goal_ = members_.empty() ? curve.best() : std::min(goal_, curve.best());
  best_ = first_;
  members_.push_back(&member);
  seen_.push_back(-1);
}

void GroupScore::advance(double seconds) {
  const double before = best_;
  bool arrived = false;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const Track& member = *members_[i];
    if (member.id().value == 0) continue;
    arrived = true;
    if (member.place() == seen_[i]) continue;
    const Curve& curve = member.job().curve;
    // The lowest point passed since, and where it stands.
    const auto& steps = curve.points();
    for (auto at = std::upper_bound(steps.begin(), steps.end(), seen_[i]); at != steps.end() && *at <= member.place(); ++at)
      best_ = std::min(best_, curve.losses()[static_cast<std::size_t>(at - steps.begin())]);
    best_ = std::min(best_, curve.at(member.place()));
    seen_[i] = member.place();
  }
  if (arrived && goal_ < first_) loss_seconds_ += seconds * ((before + best_) / 2 - goal_) / (first_ - goal_);
}

}  // namespace sluice::sim
