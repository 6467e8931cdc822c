#pragma once
/// Which worker slot trains which job: from a number of slots per job to slots of workers, changing as little as possible. Apart from the policies, which only
/// count.

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
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
    std::vector<JobId> slots;      ///< by slot number; job 0 = idle
    std::set<std::uint32_t> idle;  ///< slot numbers
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
  void apply(const SlotChange& change);
  /// Forgets that `job` was ever here (it ended and its slots are free).
  void forget(JobId job);
  [[nodiscard]] const std::map<WorkerId, Worker>& workers() const { return workers_; }
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// Grows whenever a worker comes or goes.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  /// REQUIRES: it is there.
  [[nodiscard]] const Worker& worker(WorkerId id) const { return *by_id_.at(id); }
  /// Workers that have idle slots.
  [[nodiscard]] const std::set<WorkerId>& with_idle() const { return with_idle_; }
  /// Jobs that have, or had, any slot; in no order.
  [[nodiscard]] const std::unordered_map<JobId, Holding>& holdings() const { return holdings_; }
  [[nodiscard]] std::uint32_t granted(JobId job) const;

 private:
  void let_go(JobId job, SlotRef at);
  std::map<WorkerId, Worker> workers_;
  std::unordered_map<WorkerId, Worker*> by_id_;  ///< the same: found in one step
  std::set<WorkerId> with_idle_;
  std::uint32_t slots_ = 0;
  std::uint64_t version_ = 0;
  std::unordered_map<JobId, Holding> holdings_;
};

/// The fewest changes that give each job that is named so many slots (one that is not named keeps what it has), at most one a slot. A job keeps the slots it
/// has, of too many the first; it gets new ones first on workers that know it. By slot. REQUIRES: what is wanted and what is kept are fleet.slots() at most.
/// Its time grows with the slots that change (times the logarithm of all) and the workers that have idle ones, not with the cluster.
[[nodiscard]] std::vector<SlotChange> place(const Fleet& fleet, const std::map<JobId, std::uint32_t>& wanted);

}  // namespace sluice::manager
