#pragma once
/// Which worker slot trains which job: from a number of slots per job to slots of workers, changing as little as possible. Apart from the policies, which only
/// count.

#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"

namespace sluice::manager {

struct SlotRef {
  WorkerId worker;
  WorkerSlot slot;
  friend auto operator<=>(const SlotRef&, const SlotRef&) = default;
};

/// One worker slot's change of job; job 0 = idle.
struct SlotChange {
  SlotRef at;
  JobId from;
  JobId to;
  friend bool operator==(const SlotChange&, const SlotChange&) = default;
};

/// So many slots are wanted for a job.
struct Wanted {
  JobId job;
  std::uint32_t slots = 0;
};

/// The workers' slots and what they were granted. One thread. With very many jobs and workers none of them is in a cache: what a change needs is found by
/// counting, in tables by number, and `apply` fetches ahead.
class Fleet {
 public:
  struct Worker {
    std::string name;
    std::vector<JobId> slots;  ///< by slot number; job 0 = idle
  };
  /// What a job has of it. Both in order.
  struct Holding {
    std::vector<SlotRef> slots;
    std::vector<WorkerId> warm;  ///< that it was granted a slot of before: its data and model are there
  };
  Fleet() = default;
  Fleet(Fleet&&) = default;
  Fleet& operator=(Fleet&&) = default;
  /// All slots idle. REQUIRES: not there.
  void add(WorkerId id, std::string name, std::uint32_t slots);
  /// Returns the changes that this is: each busy slot to idle.
  std::vector<SlotChange> remove(WorkerId id);
  /// One after the other. REQUIRES: of each slot one at most.
  void apply(std::span<const SlotChange> changes);
  void apply(const SlotChange& change) { apply(std::span(&change, 1)); }
  /// Forgets that `job` was ever here (it ended and its slots are free).
  void forget(JobId job);
  [[nodiscard]] const std::map<WorkerId, Worker>& workers() const { return workers_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// Grows whenever a worker comes or goes.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  /// Jobs that have slots, by id.
  [[nodiscard]] std::vector<JobId> holders() const;
  /// Of a job that has none and is warm nowhere: empty.
  [[nodiscard]] const Holding& holding(JobId job) const;
  [[nodiscard]] std::uint32_t granted(JobId job) const { return static_cast<std::uint32_t>(holding(job).slots.size()); }

  // Workers by place, from 0 on, in the order of their ids: valid until one comes or goes.
  static constexpr std::size_t kNowhere = ~std::size_t{0};
  [[nodiscard]] std::size_t place_of(WorkerId id) const;
  [[nodiscard]] WorkerId id_at(std::size_t place) const { return ids_[place]; }
  [[nodiscard]] const Worker& worker_at(std::size_t place) const { return *at_[place]; }
  /// How many of each one's slots are idle.
  [[nodiscard]] std::span<const std::uint32_t> idle() const { return idle_; }

  // For who works through many: asks for the memory of a job's holding; of what it lists (the holding itself was asked for, and has come).
  void fetch(JobId job) const;
  void fetch_lists(JobId job) const;

 private:
  static const Holding kNothing;
  void apply_one(const SlotChange& change);
  void let_go(JobId job, SlotRef at);
  void index();
  Holding& hold(JobId job);

  std::map<WorkerId, Worker> workers_;
  std::vector<WorkerId> ids_;  ///< by place
  std::vector<Worker*> at_;    ///< the same
  std::vector<std::uint32_t> idle_;
  std::uint32_t slots_ = 0;
  std::uint64_t version_ = 0;
  std::deque<Holding> held_;  ///< by job id, from the first on that has anything: ids are given one after the other
  std::uint64_t first_ = 0;   ///< held_'s first
};

/// The fewest changes that give each job that is named so many slots (one that is not named keeps what it has), at most one a slot. A job keeps the slots it
/// has, of too many the first; it gets new ones first on workers that know it. By slot. `wanted`: by job, each once. REQUIRES: what is wanted and what is kept
/// are fleet.slots() at most. Its time grows with the slots that change, and a pass over a number of each worker.
[[nodiscard]] std::vector<SlotChange> place(const Fleet& fleet, std::span<const Wanted> wanted);

}  // namespace sluice::manager
