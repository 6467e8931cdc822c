#include "manager/placement.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace sluice::manager {
namespace {

constexpr std::size_t kAheadHolding = 16, kAheadLists = 8;  ///< changes: memory is asked for so far before it is needed

template <class T>
void put_in_order(std::vector<T>& into, const T& value) {
  const auto at = std::lower_bound(into.begin(), into.end(), value);
  if (at == into.end() || *at != value) into.insert(at, value);
}

bool by_slot(const SlotChange& a, const SlotChange& b) { return a.at < b.at; }

/// The slots that may be given away: idle ones and those that lose their job. A worker's are given from the first on, so that a worker is a place in each.
class OpenSlots {
 public:
  /// `lost`: from some job to none.
  OpenSlots(const Fleet& fleet, std::vector<SlotChange> lost)
      : fleet_(fleet), lost_(std::move(lost)), left_(fleet.idle().begin(), fleet.idle().end()), next_(left_.size()) {
    std::sort(lost_.begin(), lost_.end(), by_slot);
    for (std::size_t i = lost_.size(); i-- > 0;) {
      const std::size_t worker = fleet.place_of(lost_[i].at.worker);
      ++left_[worker];
      next_[worker].lost = static_cast<std::uint32_t>(i);
    }
  }

  /// Gives `job` the first slots of a worker, `count` at most; returns how many.
  std::uint32_t give(JobId job, std::size_t worker, std::uint32_t count) {
    const std::uint32_t given = std::min(count, left_[worker]);
    for (std::uint32_t i = 0; i < given; ++i) give_one(job, worker);
    return given;
  }
  /// The first worker that has any, from that on; as many as there are workers: none has.
  [[nodiscard]] std::size_t first(std::size_t from) const {
    while (from < left_.size() && left_[from] == 0) ++from;
    return from;
  }

  /// By slot.
  [[nodiscard]] std::vector<SlotChange> changes() {
    const auto lost = static_cast<std::ptrdiff_t>(lost_.size());
    lost_.insert(lost_.end(), given_.begin(), given_.end());
    std::sort(lost_.begin() + lost, lost_.end(), by_slot);
    std::inplace_merge(lost_.begin(), lost_.begin() + lost, lost_.end(), by_slot);
    return std::move(lost_);
  }

 private:
  /// Of a worker: the first in lost_ that was not given away; no idle slot that was not is before `slot`; idle ones that were.
  struct Next {
    std::uint32_t lost = 0, slot = 0, idle_given = 0;
  };
  void give_one(JobId job, std::size_t worker) {
    Next& next = next_[worker];
    const WorkerId id = fleet_.id_at(worker);
    const std::uint32_t idle_left = fleet_.idle()[worker] - next.idle_given;
    const bool idle = idle_left > 0, lost = left_[worker] > idle_left;
    if (idle) {
      const std::vector<JobId>& slots = fleet_.worker_at(worker).slots;
      while (slots[next.slot] != JobId{}) ++next.slot;
    }
    if (lost && (!idle || lost_[next.lost].at.slot.value < next.slot)) {
      lost_[next.lost++].to = job;
    } else {
      given_.push_back({{id, WorkerSlot{next.slot++}}, JobId{}, job});
      ++next.idle_given;
    }
    --left_[worker];
  }

  const Fleet& fleet_;
  std::vector<SlotChange> lost_, given_;  ///< given_: that were idle
  std::vector<std::uint32_t> left_;       ///< by the worker's place: that may be given away still
  std::vector<Next> next_;
};

}  // namespace

const Fleet::Holding Fleet::kNothing;

/// Of workers that came or went.
void Fleet::index() {
  ids_.clear(), at_.clear(), idle_.clear();
  for (auto& [id, worker] : workers_) {
    ids_.push_back(id), at_.push_back(&worker);
    idle_.push_back(static_cast<std::uint32_t>(std::count(worker.slots.begin(), worker.slots.end(), JobId{})));
  }
  ++version_;
}

void Fleet::add(WorkerId id, std::string name, std::uint32_t slots) {
  const auto [it, fresh] = workers_.try_emplace(id, Worker{std::move(name), std::vector<JobId>(slots)});
  SLUICE_ASSERT(fresh);
  slots_ += slots;
  if (std::next(it) != workers_.end()) return index();
  ids_.push_back(id), at_.push_back(&it->second), idle_.push_back(slots);
  ++version_;
}

std::vector<SlotChange> Fleet::remove(WorkerId id) {
  std::vector<SlotChange> lost;
  const auto it = workers_.find(id);
  if (it == workers_.end()) return lost;
  for (std::uint32_t i = 0; i < it->second.slots.size(); ++i)
    if (it->second.slots[i] != JobId{}) lost.push_back({{id, WorkerSlot{i}}, it->second.slots[i], JobId{}});
  for (const SlotChange& change : lost) let_go(change.from, change.at);
  for (Holding& holding : held_) std::erase(holding.warm, id);
  slots_ -= static_cast<std::uint32_t>(it->second.slots.size());
  workers_.erase(it);
  index();
  return lost;
}

std::size_t Fleet::place_of(WorkerId id) const {
  // Ids are given one after the other: where no worker left, it is as far from the first as they are apart, and else before that.
  const std::size_t most = ids_.empty() || id < ids_.front() ? 0 : std::min<std::size_t>(id.value - ids_.front().value, ids_.size() - 1);
  if (most < ids_.size() && ids_[most] == id) return most;
  const auto at = std::lower_bound(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(most), id);
  return at != ids_.end() && *at == id ? static_cast<std::size_t>(at - ids_.begin()) : kNowhere;
}

void Fleet::fetch(JobId job) const {
  const Holding& of = holding(job);
  __builtin_prefetch(&of);
  __builtin_prefetch(&of.warm);  // it may be in the next line
}

void Fleet::fetch_lists(JobId job) const {
  const Holding& of = holding(job);
  __builtin_prefetch(of.slots.data());
  __builtin_prefetch(of.warm.data());
}

void Fleet::apply(std::span<const SlotChange> changes) {
  for (std::size_t i = 0; i < changes.size(); ++i) {
    if (i + kAheadHolding < changes.size()) {
      const SlotChange& far = changes[i + kAheadHolding];
      fetch(far.from), fetch(far.to);
      if (const std::size_t worker = place_of(far.at.worker); worker != kNowhere) __builtin_prefetch(&at_[worker]->slots);
    }
    if (i + kAheadLists < changes.size()) {
      const SlotChange& near = changes[i + kAheadLists];
      fetch_lists(near.from), fetch_lists(near.to);
      if (const std::size_t worker = place_of(near.at.worker); worker != kNowhere) __builtin_prefetch(at_[worker]->slots.data() + near.at.slot.value);
    }
    apply_one(changes[i]);
  }
}

void Fleet::apply_one(const SlotChange& change) {
  const std::size_t worker = place_of(change.at.worker);
  SLUICE_ASSERT(worker != kNowhere);
  JobId& at = at_[worker]->slots.at(change.at.slot.value);
  SLUICE_ASSERT(at == change.from);
  at = change.to;
  idle_[worker] += (change.to == JobId{} ? 1U : 0U) - (change.from == JobId{} ? 1U : 0U);
  if (change.from != JobId{}) let_go(change.from, change.at);
  if (change.to == JobId{}) return;
  Holding& holding = hold(change.to);
  put_in_order(holding.slots, change.at);
  put_in_order(holding.warm, change.at.worker);
}

void Fleet::forget(JobId job) {
  if (&holding(job) == &kNothing) return;
  hold(job).warm = {};
  while (!held_.empty() && held_.front().slots.empty() && held_.front().warm.empty()) held_.pop_front(), ++first_;
}

Fleet::Holding& Fleet::hold(JobId job) {
  if (held_.empty()) first_ = job.value;
  for (; job.value < first_; --first_) held_.emplace_front();
  if (job.value - first_ >= held_.size()) held_.resize(job.value - first_ + 1);
  return held_[job.value - first_];
}

std::vector<JobId> Fleet::holders() const {
  std::vector<JobId> out;
  for (std::size_t i = 0; i < held_.size(); ++i)
    if (!held_[i].slots.empty()) out.push_back(JobId{first_ + i});
  return out;
}

const Fleet::Holding& Fleet::holding(JobId job) const {
  return job.value >= first_ && job.value - first_ < held_.size() ? held_[job.value - first_] : kNothing;
}

void Fleet::let_go(JobId job, SlotRef at) {
  std::vector<SlotRef>& slots = held_.at(job.value - first_).slots;
  const auto it = std::lower_bound(slots.begin(), slots.end(), at);
  SLUICE_ASSERT(it != slots.end() && *it == at);
  slots.erase(it);
}

std::vector<SlotChange> place(const Fleet& fleet, std::span<const Wanted> wanted) {
  std::vector<SlotChange> lost;
  std::vector<Wanted> missing;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i + kAheadHolding < wanted.size()) fleet.fetch(wanted[i + kAheadHolding].job);
    if (i + kAheadLists < wanted.size()) fleet.fetch_lists(wanted[i + kAheadLists].job);
    const auto [job, count] = wanted[i];
    const std::vector<SlotRef>& held = fleet.holding(job).slots;
    for (std::size_t s = count; s < held.size(); ++s) lost.push_back({held[s], job, JobId{}});
    if (count > held.size()) missing.push_back({job, static_cast<std::uint32_t>(count - held.size())});
  }
  OpenSlots open(fleet, std::move(lost));
  for (auto& [job, count] : missing)
    for (const WorkerId worker : fleet.holding(job).warm)
      if (count > 0) count -= open.give(job, fleet.place_of(worker), count);
  std::size_t from = 0;
  for (auto& [job, count] : missing)
    for (; count > 0 && (from = open.first(from)) < fleet.idle().size();) count -= open.give(job, from, count);
  return open.changes();
}

}  // namespace sluice::manager
