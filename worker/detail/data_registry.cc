#include "worker/detail/data_registry.h"

#include <algorithm>

namespace sluice::worker {

DataRegistry::Opened DataRegistry::get(const proto::DataSpec& spec, const std::shared_ptr<SlotInbox>& waiter) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.spec == spec; });
    if (it != entries_.end()) {
      auto& waiters = it->waiters;
      const auto waiting = std::find(waiters.begin(), waiters.end(), waiter);
      const bool listed = waiting != waiters.end();
      if (!it->opened && !listed) waiters.push_back(waiter);
      if (!it->opened) return nullptr;
      if (listed) waiters.erase(waiting);
      if (it->opened->has_value() || listed) return it->opened;
      entries_.erase(it);  // an old failure that this slot did not wait for: try anew
    }
    entries_.push_back({spec, nullptr, {waiter}});
  }
  executor_.run("data-" + spec.name, [self = shared_from_this(), spec] { self->open(spec); });
  return nullptr;
}

void DataRegistry::open(const proto::DataSpec& spec) {
  auto opened = std::make_shared<const Result<OpenedData>>(source_.open(spec));
  std::vector<std::shared_ptr<SlotInbox>> waiters;
  {
    const std::lock_guard lock(mutex_);
    const auto it = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.spec == spec; });
    if (it == entries_.end()) return;
    it->opened = std::move(opened);
    waiters = it->waiters;  // they stay listed until they have come for the answer
  }
  for (const auto& waiter : waiters) waiter->wake();
}

}  // namespace sluice::worker
