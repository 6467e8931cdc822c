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

bool LaneInbox::end_job(JobId job) {
  {
    const std::lock_guard lock(mutex_);
    if (news_.ended.size() >= kEndedMax) return false;
    if (std::find(news_.ended.begin(), news_.ended.end(), job) == news_.ended.end()) news_.ended.push_back(job);
  }
  wake();
  return true;
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

ControlInbox::News ControlInbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(news_, {});
}

}  // namespace sluice::server
