#include "manager/placement.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::manager {

void Fleet::add(WorkerId id, std::string name, std::uint32_t slots) {
  const auto [it, fresh] = workers_.try_emplace(id, Worker{std::move(name), std::vector<JobId>(slots), {}});
  SLUICE_ASSERT(fresh);
}

std::vector<SlotChange> Fleet::remove(WorkerId id) {
  std::vector<SlotChange> lost;
  const auto it = workers_.find(id);
  if (it == workers_.end()) return lost;
  for (std::uint32_t i = 0; i < it->second.slots.size(); ++i)
    if (it->second.slots[i] != JobId{}) lost.push_back({{id, WorkerSlot{i}}, it->second.slots[i], JobId{}});
  workers_.erase(it);
  return lost;
}

void Fleet::apply(const SlotChange& change) {
  Worker& worker = workers_.at(change.at.worker);
  SLUICE_ASSERT(worker.slots.at(change.at.slot.value) == change.from);
  worker.slots[change.at.slot.value] = change.to;
  if (change.to != JobId{}) worker.warm.insert(change.to);
}

void Fleet::forget(JobId job) {
  for (auto& [id, worker] : workers_) worker.warm.erase(job);
}

std::uint32_t Fleet::slots() const {
  std::size_t sum = 0;
  for (const auto& [id, worker] : workers_) sum += worker.slots.size();
  return static_cast<std::uint32_t>(sum);
}

std::map<JobId, std::uint32_t> Fleet::granted() const {
  std::map<JobId, std::uint32_t> out;
  for (const auto& [id, worker] : workers_)
    for (const JobId job : worker.slots)
      if (job != JobId{}) ++out[job];
  return out;
}

std::vector<SlotChange> place(const Fleet& fleet, const std::map<JobId, std::uint32_t>& wanted) {
  std::map<JobId, std::uint32_t> missing = wanted;
  std::vector<SlotChange> open;  // slots that lose their job or have none; `to` is found below
  for (const auto& [id, worker] : fleet.workers())
    for (std::uint32_t i = 0; i < worker.slots.size(); ++i) {
      const JobId job = worker.slots[i];
      const auto it = missing.find(job);
      if (it != missing.end() && it->second > 0)
        --it->second;
      else
        open.push_back({{id, WorkerSlot{i}}, job, JobId{}});
    }
  const auto give = [&](bool warm_only) {
    for (auto& [job, count] : missing)
      for (SlotChange& change : open) {
        if (count == 0) break;
        if (change.to != JobId{} || (warm_only && !fleet.workers().at(change.at.worker).warm.contains(job))) continue;
        change.to = job;
        --count;
      }
  };
  give(true);
  give(false);
  std::erase_if(open, [](const SlotChange& c) { return c.from == c.to; });
  return open;
}

}  // namespace sluice::manager
