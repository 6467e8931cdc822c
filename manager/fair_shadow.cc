#include "manager/fair_shadow.h"

#include <algorithm>
#include <utility>

namespace sluice::manager {
namespace {
constexpr double kMemory = 100;  ///< jobs
}  // namespace

void FairShadow::Usual::end() {
  if (++ends <= kMemory) return;
  had *= kMemory / ends;
  ends = kMemory;
}

void FairShadow::stop(std::size_t at) {
  running_jobs_ -= running_[at] > 0 ? 1 : 0;
  running_[at] = 0;
}

std::size_t FairShadow::place_of(JobId job) const {
  if (members_.empty() || members_.back().id < job) return members_.size();
  const auto at = std::lower_bound(members_.begin(), members_.end(), job, [](const Member& m, JobId id) { return m.id < id; });
  return static_cast<std::size_t>(at - members_.begin());
}

void FairShadow::see(JobId job, double total_steps, const SpeedUp& speed_up) {
  const std::size_t at = place_of(job);
  if (!has(at, job)) {
    const auto place = static_cast<std::ptrdiff_t>(at);
    members_.insert(members_.begin() + place, Member{job});
    for (std::vector<double>* of : {&done_, &total_, &alone_, &kappa_}) of->insert(of->begin() + place, 0.0);
    running_.insert(running_.begin() + place, 1.0);
    ++running_jobs_;
  }
  if (total_steps > 0) total_[at] = total_steps;
  if (speed_up.alone > 0) alone_[at] = speed_up.alone, kappa_[at] = speed_up.kappa;
}

void FairShadow::ended(JobId job, double steps) {
  const std::size_t at = place_of(job);
  if (!has(at, job) || members_[at].ended) return;
  members_[at].ended = true;
  total_[at] = steps;
  attained_.end();
  if (!(alone_[at] > 0)) {  // nobody knew its speed
    members_[at].left = true;
    stop(at);
    stay_.end();
  }
  tidy_ = tidy_ || members_[at].left;
}

void FairShadow::advance(Instant now, std::uint32_t slots, std::uint32_t held) {
  const double seconds = at_ == Instant{} ? 0 : (now - at_).seconds();
  at_ = now;
  stay_.had += static_cast<double>(running_jobs_) * seconds;
  attained_.had += held * seconds;
  if (running_jobs_ > 0) {
    each_ = slots / static_cast<double>(running_jobs_);
    const double more = std::max(0.0, each_ - 1);
    const std::size_t count = members_.size();
    std::uint64_t reached = 0;
    for (std::size_t i = 0; i < count; ++i) done_[i] += running_[i] * (alone_[i] * each_ / (1 + kappa_[i] * more)) * seconds;
    for (std::size_t i = 0; i < count; ++i) reached += total_[i] > 0 && done_[i] >= total_[i] && running_[i] > 0 ? 1 : 0;
    tidy_ = tidy_ || reached > 0;
  }
  if (std::exchange(tidy_, false)) leave();
}

/// Those that came to their end leave, and those that ended in truth too are forgotten.
void FairShadow::leave() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    if (!member.left && total_[i] > 0 && done_[i] >= total_[i]) {
      member.left = true;
      stop(i);
      stay_.end();
    }
    if (member.left && member.ended) continue;
    if (kept != i) {
      members_[kept] = member;
      for (std::vector<double>* of : {&done_, &total_, &alone_, &kappa_, &running_}) (*of)[kept] = (*of)[i];
    }
    ++kept;
  }
  members_.resize(kept);
  for (std::vector<double>* of : {&done_, &total_, &alone_, &kappa_, &running_}) of->resize(kept);
}

Duration FairShadow::behind(JobId job, double step) const {
  const std::size_t at = place_of(job);
  if (!has(at, job)) return {};
  const double rate = SpeedUp{.alone = alone_[at], .kappa = kappa_[at]}.rate(each_);
  return rate > 0 ? from_seconds(std::clamp((done_[at] - step) / rate, -1e8, 1e8)) : Duration{};
}

}  // namespace sluice::manager
