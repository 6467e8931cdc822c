#include "manager/placement.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::manager {
namespace {

template <class T>
void put_in_order(std::vector<T>& into, const T& value) {
  const auto at = std::lower_bound(into.begin(), into.end(), value);
  if (at == into.end() || *at != value) into.insert(at, value);
}

/// The slots that may be given away, by worker: idle ones and those that lose their job. A worker's are put together when it is first asked for.
class OpenSlots {
 public:
  explicit OpenSlots(const Fleet& fleet) : fleet_(fleet), workers_(fleet.with_idle()) {}

  void open(SlotRef at, JobId from) {
    opened_[at] = {at, from, JobId{}};
    workers_.insert(at.worker);
  }
  /// Gives `job` the first slots of a worker, `count` at most; returns how many.
  std::uint32_t give(JobId job, WorkerId worker, std::uint32_t count) {
    std::vector<std::uint32_t>& free = of(worker);
    std::uint32_t given = 0;
    for (; given < count && !free.empty(); ++given) {
      const SlotRef at{worker, WorkerSlot{free.back()}};
      free.pop_back();
      opened_.try_emplace(at, SlotChange{at, JobId{}, JobId{}}).first->second.to = job;
    }
    if (free.empty()) workers_.erase(worker);
    return given;
  }
  /// The first worker that has any; nothing: none has.
  [[nodiscard]] const WorkerId* first() const { return workers_.empty() ? nullptr : &*workers_.begin(); }
  [[nodiscard]] bool has(WorkerId worker) const { return workers_.contains(worker); }

  [[nodiscard]] std::vector<SlotChange> changes() const {
    std::vector<SlotChange> out;
    for (const auto& [at, change] : opened_) out.push_back(change);
    return out;
  }

 private:
  /// The first slot last.
  std::vector<std::uint32_t>& of(WorkerId worker) {
    const auto [it, fresh] = free_.try_emplace(worker);
    if (!fresh) return it->second;
    const std::set<std::uint32_t>& idle = fleet_.worker(worker).idle;
    it->second.assign(idle.rbegin(), idle.rend());
    for (auto at = opened_.lower_bound({worker, WorkerSlot{0}}); at != opened_.end() && at->first.worker == worker; ++at)
      it->second.push_back(at->first.slot.value);
    std::sort(it->second.rbegin(), it->second.rend());
    return it->second;
  }

  const Fleet& fleet_;
  std::set<WorkerId> workers_;
  std::map<SlotRef, SlotChange> opened_;  ///< slots that lose their job; and, given away, idle ones
  std::map<WorkerId, std::vector<std::uint32_t>> free_;
};

}  // namespace

void Fleet::add(WorkerId id, std::string name, std::uint32_t slots) {
  const auto [it, fresh] = workers_.try_emplace(id, Worker{std::move(name), std::vector<JobId>(slots), {}});
  SLUICE_ASSERT(fresh);
  by_id_[id] = &it->second;
  for (std::uint32_t i = 0; i < slots; ++i) it->second.idle.insert(it->second.idle.end(), i);
  if (slots > 0) with_idle_.insert(id);
  slots_ += slots;
  ++version_;
}

std::vector<SlotChange> Fleet::remove(WorkerId id) {
  std::vector<SlotChange> lost;
  const auto it = workers_.find(id);
  if (it == workers_.end()) return lost;
  for (std::uint32_t i = 0; i < it->second.slots.size(); ++i)
    if (it->second.slots[i] != JobId{}) lost.push_back({{id, WorkerSlot{i}}, it->second.slots[i], JobId{}});
  for (const SlotChange& change : lost) let_go(change.from, change.at);
  for (auto& [job, holding] : holdings_) std::erase(holding.warm, id);
  slots_ -= static_cast<std::uint32_t>(it->second.slots.size());
  with_idle_.erase(id);
  by_id_.erase(id);
  workers_.erase(it);
  ++version_;
  return lost;
}

void Fleet::apply(const SlotChange& change) {
  Worker& worker = *by_id_.at(change.at.worker);
  const std::uint32_t slot = change.at.slot.value;
  SLUICE_ASSERT(worker.slots.at(slot) == change.from);
  worker.slots[slot] = change.to;
  if (change.from != JobId{}) let_go(change.from, change.at);
  if (change.to != JobId{}) {
    Holding& holding = holdings_[change.to];
    put_in_order(holding.slots, change.at);
    put_in_order(holding.warm, change.at.worker);
    if (change.from != JobId{}) return;
    worker.idle.erase(slot);
    if (worker.idle.empty()) with_idle_.erase(change.at.worker);
  } else {
    worker.idle.insert(slot);
    with_idle_.insert(change.at.worker);
  }
}

void Fleet::forget(JobId job) {
  const auto it = holdings_.find(job);
  if (it == holdings_.end()) return;
  it->second.warm.clear();
  if (it->second.slots.empty()) holdings_.erase(it);
}

std::uint32_t Fleet::granted(JobId job) const {
  const auto it = holdings_.find(job);
  return it == holdings_.end() ? 0 : static_cast<std::uint32_t>(it->second.slots.size());
}

void Fleet::let_go(JobId job, SlotRef at) {
  std::vector<SlotRef>& slots = holdings_.at(job).slots;
  const auto it = std::lower_bound(slots.begin(), slots.end(), at);
  SLUICE_ASSERT(it != slots.end() && *it == at);
  slots.erase(it);
}

std::vector<SlotChange> place(const Fleet& fleet, const std::map<JobId, std::uint32_t>& wanted) {
  OpenSlots open(fleet);
  std::vector<std::pair<JobId, std::uint32_t>> missing;
  for (const auto& [job, count] : wanted) {
    const auto held = fleet.holdings().find(job);
    const std::size_t had = held == fleet.holdings().end() ? 0 : held->second.slots.size();
    for (std::size_t i = count; i < had; ++i) open.open(held->second.slots[i], job);
    if (count > had) missing.emplace_back(job, static_cast<std::uint32_t>(count - had));
  }
  for (auto& [job, count] : missing) {
    const auto held = fleet.holdings().find(job);
    if (held == fleet.holdings().end()) continue;
    for (const WorkerId worker : held->second.warm)
      if (count > 0 && open.has(worker)) count -= open.give(job, worker, count);
  }
  for (auto& [job, count] : missing)
    while (count > 0 && open.first() != nullptr) count -= open.give(job, *open.first(), count);
  return open.changes();
}

}  // namespace sluice::manager
