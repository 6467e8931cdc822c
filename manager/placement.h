#pragma once
/// Which worker slot trains which job: from a number of slots per job to slots of workers, changing as little as possible. Apart from the policies, which only
/// count.

#include <compare>
#include <cstdint>
#include <map>
#include <set>
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

/// The workers' slots and what they were granted. One thread.
class Fleet {
 public:
  struct Worker {
    std::string name;
    std::vector<JobId> slots;  ///< by slot number; job 0 = idle
    std::set<JobId> warm;      ///< jobs it was granted before: data and model are on the host
  };
  /// All slots idle. REQUIRES: not there.
  void add(WorkerId id, std::string name, std::uint32_t slots);
  /// Returns the changes that this is: each busy slot to idle.
  std::vector<SlotChange> remove(WorkerId id);
  void apply(const SlotChange& change);
  /// Forgets that `job` was ever here (it ended and its slots are free).
  void forget(JobId job);
  [[nodiscard]] const std::map<WorkerId, Worker>& workers() const { return workers_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// Slots of each job that has any.
  [[nodiscard]] const std::map<JobId, std::uint32_t>& granted() const { return granted_; }

 private:
  void count(JobId from, JobId to);
  std::map<WorkerId, Worker> workers_;
  std::uint32_t slots_ = 0;
  std::map<JobId, std::uint32_t> granted_;
};

/// The fewest changes that give each job `wanted` slots (a job not named: none), at most one a slot. A job keeps the slots it has; it gets new ones first on
/// workers that know it. REQUIRES: the sum of `wanted` ≤ fleet.slots().
[[nodiscard]] std::vector<SlotChange> place(const Fleet& fleet, const std::map<JobId, std::uint32_t>& wanted);

}  // namespace sluice::manager
