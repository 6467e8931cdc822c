#include "manager/placement.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::manager {

void Fleet::add(WorkerId id, std::string name, std::uint32_t slots) {
  const auto [it, fresh] = workers_.try_emplace(id, Worker{std::move(name), std::vector<JobId>(slots), {}});
  SLUICE_ASSERT(fresh);
  slots_ += slots;
}

std::vector<SlotChange> Fleet::remove(WorkerId id) {
  std::vector<SlotChange> lost;
  const auto it = workers_.find(id);
  if (it == workers_.end()) return lost;
  for (std::uint32_t i = 0; i < it->second.slots.size(); ++i)
    if (it->second.slots[i] != JobId{}) lost.push_back({{id, WorkerSlot{i}}, it->second.slots[i], JobId{}});
  for (const SlotChange& change : lost) count(change.from, JobId{});
  slots_ -= static_cast<std::uint32_t>(it->second.slots.size());
  workers_.erase(it);
  return lost;
}

void Fleet::apply(const SlotChange& change) {
  Worker& worker = workers_.at(change.at.worker);
  SLUICE_ASSERT(worker.slots.at(change.at.slot.value) == change.from);
  worker.slots[change.at.slot.value] = change.to;
  count(change.from, change.to);
  if (change.to != JobId{}) worker.warm.insert(change.to);
}

void Fleet::forget(JobId job) {
  for (auto& [id, worker] : workers_) worker.warm.erase(job);
}

void Fleet::count(JobId from, JobId to) {
  if (const auto it = granted_.find(from); it != granted_.end() && --it->second == 0) granted_.erase(it);
  if (to != JobId{}) ++granted_[to];
}

std::vector<SlotChange> place(const Fleet& fleet, const std::map<JobId, std::uint32_t>& wanted) {
  // What each job lacks, and how many slots those that keep some may keep.
  std::map<JobId, std::uint32_t> missing, keep;
  bool changed = false;
  for (const auto& [job, count] : fleet.granted()) {
    const auto it = wanted.find(job);
    keep[job] = std::min(count, it == wanted.end() ? 0 : it->second);
    changed = changed || keep[job] < count;
  }
  for (const auto& [job, count] : wanted) {
    const auto has = keep.find(job);
    if (const std::uint32_t kept = has == keep.end() ? 0 : has->second; count > kept) missing[job] = count - kept;
  }
  if (!changed && missing.empty()) return {};
  std::vector<SlotChange> open;                                                 // slots that lose their job or have none; `to` is found below
  std::vector<std::pair<const Fleet::Worker*, std::vector<std::size_t>>> free;  // of each worker, its places in `open`, the first last
  for (const auto& [id, worker] : fleet.workers()) {
    const std::size_t first = open.size();
    for (std::uint32_t i = 0; i < worker.slots.size(); ++i) {
      const JobId job = worker.slots[i];
      const auto it = job == JobId{} ? keep.end() : keep.find(job);
      if (it != keep.end() && it->second > 0)
        --it->second;
      else
        open.push_back({{id, WorkerSlot{i}}, job, JobId{}});
    }
    if (open.size() == first) continue;
    auto& places = free.emplace_back(&worker, std::vector<std::size_t>()).second;
    for (std::size_t at = open.size(); at > first; --at) places.push_back(at - 1);
  }
  std::size_t left = open.size();
  const auto give = [&](bool warm_only) {
    for (auto& [job, count] : missing)
      for (auto at = free.begin(); at != free.end() && count > 0 && left > 0; ++at) {
        if (at->second.empty() || (warm_only && !at->first->warm.contains(job))) continue;
        for (; count > 0 && !at->second.empty(); --count, --left) {
          open[at->second.back()].to = job;
          at->second.pop_back();
        }
      }
  };
  give(true);
  give(false);
  std::erase_if(open, [](const SlotChange& c) { return c.from == c.to; });
  return open;
}

}  // namespace sluice::manager
