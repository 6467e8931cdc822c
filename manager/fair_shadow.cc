#include "manager/fair_shadow.h"

#include <algorithm>

namespace sluice::manager {
namespace {
constexpr double kMemory = 100;  ///< jobs
}  // namespace

void FairShadow::take(double& mean, double& count, double value) {
  count = std::min(kMemory, count + 1);
  mean += (value - mean) / count;
}

void FairShadow::see(JobId job, Instant submitted, double total_steps, const SpeedUp& speed_up) {
  Member& member = members_[job];
  member.submitted = submitted;
  if (total_steps > 0) member.total = total_steps;
  if (speed_up.alone > 0) member.speed_up = speed_up;
}

void FairShadow::ended(JobId job, double steps, double slot_seconds) {
  const auto it = members_.find(job);
  if (it == members_.end() || it->second.ended) return;
  it->second.ended = true;
  it->second.total = steps;
  if (slot_seconds > 0) take(attained_, attainments_, slot_seconds);
  if (it->second.left || !(it->second.speed_up.alone > 0)) members_.erase(it);
}

void FairShadow::advance(Instant now, std::uint32_t slots) {
  const double seconds = at_ == Instant{} ? 0 : (now - at_).seconds();
  at_ = now;
  double jobs = 0;
  for (const auto& [id, member] : members_) jobs += member.left ? 0 : 1;
  if (jobs == 0) return;
  each_ = slots / jobs;
  for (auto it = members_.begin(); it != members_.end();) {
    Member& member = it->second;
    if (!member.left) {
      member.done += member.speed_up.rate(each_) * seconds;
      if (member.total > 0 && member.done >= member.total) {
        member.left = true;
        take(stay_, stays_, (now - member.submitted).seconds());
      }
    }
    it = member.left && member.ended ? members_.erase(it) : std::next(it);
  }
}

Duration FairShadow::behind(JobId job, double step) const {
  const auto it = members_.find(job);
  if (it == members_.end()) return {};
  const double rate = it->second.speed_up.rate(each_);
  return rate > 0 ? from_seconds(std::clamp((it->second.done - step) / rate, -1e8, 1e8)) : Duration{};
}

}  // namespace sluice::manager
