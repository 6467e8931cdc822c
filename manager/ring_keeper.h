#pragma once
/// The published slot table: made once enough servers are there, then changed only by joins and leaves, returning servers and expired incarnations; each change
/// is a new ring version. Shards cannot move yet, so servers join or leave the ring only while no job is live. One thread; no I/O.

#include <string>

#include "base/result.h"
#include "manager/hash_ring.h"
#include "manager/membership.h"
#include "proto/slot_table.h"

namespace sluice::manager {

class RingKeeper {
 public:
  RingKeeper(std::uint32_t servers_expected, const RingOptions& options) : expected_(servers_expected), options_(options) {}

  /// Brings the table up to date with the membership. `idle`: no job is live. True if it changed: store it, then publish it.
  [[nodiscard]] bool update(const Membership& members, bool idle);
  /// Nothing while jobs can run; else what they wait for: "waiting for servers 1/2", "waiting for server NAME".
  [[nodiscard]] std::string waiting_for(const Membership& members) const;
  [[nodiscard]] const proto::SlotTable& table() const { return table_; }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  /// Errors: kMalformed.
  [[nodiscard]] Result<void> restore(const std::string& bytes);

 private:
  bool make(const Membership& members);
  bool follow_lanes(const Membership& members);
  bool join_and_leave(const Membership& members);
  [[nodiscard]] std::vector<RingServer> ring() const;
  void take(const Placement& placement);

  std::uint32_t expected_;
  RingOptions options_;
  proto::SlotTable table_;
  std::string bytes_;
};

}  // namespace sluice::manager
