#pragma once
/// The slot table: which server holds each of the 16384 hash slots. Durable state made by the manager, published with a ring version; servers and clients only
/// look up.

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace sluice::proto {

inline constexpr std::uint32_t kHashSlots = 16384;

/// xxh3_64(job, table, shard) >> 50.
[[nodiscard]] HashSlot hash_slot(JobId job, TableId table, ShardId shard);
/// Where a job's home is: the hash slot of (job, 0xffffffff, 0).
[[nodiscard]] HashSlot home_slot(JobId job);

struct ServerEntry {
  ServerId id;
  std::string name;
  std::vector<std::string> lanes;  ///< the address of each lane's socket; a hash slot h is served by lane h mod lanes.size()
  friend bool operator==(const ServerEntry&, const ServerEntry&) = default;
};

/// One hash slot's configuration. Replicas are empty until replication exists; the term counts changes of primary.
struct SlotConfig {
  ServerId primary;
  Term term{1};
  std::vector<ServerId> replicas;
  friend bool operator==(const SlotConfig&, const SlotConfig&) = default;
};

struct SlotTable {
  RingVersion version;               ///< 0: not made yet
  std::vector<ServerEntry> servers;  ///< ordered by id
  std::vector<SlotConfig> slots;     ///< kHashSlots entries, or none when version is 0
  /// Client incarnations that every shard and home refuses for ever: all below the floor, and those listed above it.
  Incarnation expired_floor;
  std::vector<Incarnation> expired;
  friend bool operator==(const SlotTable&, const SlotTable&) = default;

  [[nodiscard]] bool made() const { return version.value != 0; }
  /// nullptr if unknown.
  [[nodiscard]] const ServerEntry* server(ServerId id) const;
  /// The address of the lane that serves this hash slot. REQUIRES: made().
  [[nodiscard]] const std::string& lane_address(HashSlot slot) const;
  [[nodiscard]] const SlotConfig& at(HashSlot slot) const { return slots[slot.value]; }
  [[nodiscard]] bool is_expired(Incarnation incarnation) const;
};

/// Bounds: servers ≤ 4096, lanes ≤ 256 a server, addresses ≤ 256 bytes, replicas ≤ 8.
[[nodiscard]] std::string encode(const SlotTable& table);
/// Errors: kMalformed. Untrusted bytes.
[[nodiscard]] Result<SlotTable> slot_table_from_bytes(std::string_view bytes);

}  // namespace sluice::proto
