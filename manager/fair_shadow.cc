#include "manager/fair_shadow.h"

#include <algorithm>
#include <utility>

namespace sluice::manager {
namespace {
constexpr double kMemory = 100;        ///< jobs
constexpr std::size_t kBlockOf = 512;  ///< members that are looked at twice, while they are in a cache
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
  // Ids are given one after the other: where nobody left, it is as far from the first as they are apart, and else before that.
  const std::uint64_t apart = job.value - std::min(job.value, members_.front().id.value);
  const std::size_t most = std::min<std::size_t>(apart, members_.size() - 1);
  if (members_[most].id == job) return most;
  const auto last = members_.begin() + static_cast<std::ptrdiff_t>(most) + 1;
  const auto at = std::lower_bound(members_.begin(), last, job, [](const Member& m, JobId id) { return m.id < id; });
  return static_cast<std::size_t>(at - members_.begin());
}

void FairShadow::see(JobId job, Instant submitted, double total_steps, const SpeedUp& speed_up, bool paused) {
  const std::size_t at = place_of(job);
  if (!has(at, job)) {
    const auto place = static_cast<std::ptrdiff_t>(at);
    members_.insert(members_.begin() + place, Member{job, submitted});
    for (std::vector<double>* of : {&done_, &total_, &alone_, &kappa_, &running_}) of->insert(of->begin() + place, 0.0);
    joined_.push_back(job);
  }
  const double runs = paused || members_[at].left ? 0 : 1;
  running_jobs_ += runs > running_[at] ? 1 : 0;
  if (runs < running_[at]) stop(at);
  running_[at] = runs;
  if (total_steps > 0) total_[at] = total_steps;
  if (speed_up.alone > 0) alone_[at] = speed_up.alone, kappa_[at] = speed_up.kappa;
}

void FairShadow::ended(JobId job, double steps, double slot_seconds) {
  const std::size_t at = place_of(job);
  if (!has(at, job) || members_[at].ended) return;
  members_[at].ended = true;
  total_[at] = steps;
  if (slot_seconds > 0) attained_.end();
  if (!(alone_[at] > 0) && !members_[at].left) {  // nobody knew its speed
    members_[at].left = true;
    stop(at);
    if (slot_seconds > 0)
      stay_.end();
    else
      stay_.had = std::max(0.0, stay_.had - std::max(0.0, (at_ - members_[at].submitted).seconds()));
  } else if (!members_[at].left && !(running_[at] > 0)) {  // it was paused, and nobody resumes it any more: what it did is left to do
    running_[at] = 1;
    ++running_jobs_;
  }
  tidy_ = tidy_ || members_[at].left;
}

void FairShadow::go_on(double more, double seconds, std::size_t first, std::size_t end) {
  double* const done = done_.data();
  const double *const running = running_.data(), *const alone = alone_.data(), *const kappa = kappa_.data(), each = each_;
  for (std::size_t i = first; i < end; ++i) done[i] += running[i] * (alone[i] * each / (1 + kappa[i] * more)) * seconds;
}

bool FairShadow::some_reached(std::size_t first, std::size_t end) const {
  std::uint64_t reached = 0;
  for (std::size_t i = first; i < end; ++i) reached += total_[i] > 0 && done_[i] >= total_[i] && running_[i] > 0 ? 1 : 0;
  return reached > 0;
}

void FairShadow::advance(Instant now, std::uint32_t slots, std::uint32_t held) {
  const Instant before = at_ == Instant{} ? now : at_;
  const double seconds = (now - before).seconds();
  at_ = now;
  stay_.had += static_cast<double>(running_jobs_) * seconds;
  attained_.had += held * seconds;
  if (running_jobs_ > 0) {
    each_ = slots / static_cast<double>(running_jobs_);
    const double more = std::max(0.0, each_ - 1);
    const std::size_t count = members_.size();
    for (std::size_t first = 0; first < count; first += kBlockOf) {
      const std::size_t end = std::min(count, first + kBlockOf);
      go_on(more, seconds, first, end);
      tidy_ = some_reached(first, end) || tidy_;
    }
    take_in(before);  // who joined may not have come as far: leave() looks again
  }
  joined_.clear();
  if (std::exchange(tidy_, false)) leave();
}

/// Who came since `before` was not there for all of the stretch, which may be long: where no job lives there are no rounds. Who was there before, of a manager
/// that begins anew, has its age.
void FairShadow::take_in(Instant before) {
  for (const JobId job : joined_) {
    const std::size_t at = place_of(job);
    if (!has(at, job) || !(running_[at] > 0)) continue;
    const double late = (members_[at].submitted - before).seconds();
    stay_.had -= late;
    done_[at] = std::max(0.0, done_[at] - rate_of(at) * std::max(0.0, late));
  }
}

/// Those that came to their end leave, and those that ended in truth too are forgotten.
void FairShadow::leave() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    Member& member = members_[i];
    if (!member.left && total_[i] > 0 && done_[i] >= total_[i]) {
      // The stretch in which it ended was counted whole, and it may have been long: where no job lives there are no rounds.
      if (const double rate = rate_of(i); rate > 0) stay_.had = std::max(0.0, stay_.had - (done_[i] - total_[i]) / rate);
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
  const double rate = rate_of(at);
  return rate > 0 ? from_seconds(std::clamp((done_[at] - step) / rate, -1e8, 1e8)) : Duration{};
}

}  // namespace sluice::manager
