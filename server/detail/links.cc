#include "server/detail/links.h"

#include <algorithm>

namespace sluice::server {

void LaneInbox::set_view(std::shared_ptr<const View> view) {
  {
    const std::lock_guard lock(mutex_);
    news_.view = std::move(view);
  }
  wake();
}

bool LaneInbox::end_job(JobId job, std::string keep) {
  {
    const std::lock_guard lock(mutex_);
    if (news_.ended.size() >= kEndedMax) return false;
    const bool known = std::any_of(news_.ended.begin(), news_.ended.end(), [job](const Ended& ended) { return ended.job == job; });
    if (!known) news_.ended.push_back({job, std::move(keep)});
  }
  wake();
  return true;
}

void LaneInbox::save_job(JobId job, proto::SaveJob order) {
  {
    const std::lock_guard lock(mutex_);
    news_.saves.insert_or_assign(job, std::move(order));
  }
  wake();
}

void LaneInbox::loaded(LoadedFirst what) {
  {
    const std::lock_guard lock(mutex_);
    news_.loaded.push_back(std::move(what));
  }
  wake();
}

LaneInbox::News LaneInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

bool ControlInbox::offer(proto::JobReport report) {
  {
    const std::lock_guard lock(mutex_);
    if (news_.reports.size() >= kReportsMax) return false;
    news_.reports.push_back(std::move(report));
  }
  wake();
  return true;
}

void ControlInbox::want_table(RingVersion version) {
  {
    const std::lock_guard lock(mutex_);
    if (version <= news_.wanted) return;
    news_.wanted = version;
  }
  wake();
}

void ControlInbox::kept(JobId job, Result<void> result) {
  {
    const std::lock_guard lock(mutex_);
    news_.kept.emplace_back(job, std::move(result));
  }
  wake();
}

void ControlInbox::saved(JobId job, proto::Saved said) {
  {
    const std::lock_guard lock(mutex_);
    news_.saved.emplace_back(job, std::move(said));
  }
  wake();
}

ControlInbox::News ControlInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace sluice::server
