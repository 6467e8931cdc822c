#include "proto/slot_table.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/bytes.h"

namespace sluice::proto {

HashSlot hash_slot(JobId job, TableId table, ShardId shard) {
  std::byte packed[16];
  std::memcpy(packed, &job.value, 8);
  std::memcpy(packed + 8, &table.value, 4);
  std::memcpy(packed + 12, &shard.value, 4);
  return HashSlot(static_cast<std::uint16_t>(XXH3_64bits(packed, sizeof packed) >> 50));
}

HashSlot home_slot(JobId job) { return hash_slot(job, TableId(0xffffffff), ShardId(0)); }

const ServerEntry* SlotTable::server(ServerId id) const {
  const auto it = std::lower_bound(servers.begin(), servers.end(), id, [](const ServerEntry& entry, ServerId wanted) { return entry.id < wanted; });
  return it != servers.end() && it->id == id ? &*it : nullptr;
}

const std::string& SlotTable::lane_address(HashSlot slot) const {
  SLUICE_ASSERT(made());
  const ServerEntry* entry = server(at(slot).primary);
  SLUICE_ASSERT(entry != nullptr && !entry->lanes.empty());
  return entry->lanes[slot.value % entry->lanes.size()];
}

bool SlotTable::is_expired(Incarnation incarnation) const {
  return incarnation < expired_floor || std::find(expired.begin(), expired.end(), incarnation) != expired.end();
}

// Bytes, little-endian: magic u64, version u64, expired floor u64, counts of expired, servers and slots u32 each; expired u64 each; servers: id u32, name,
// lanes u16, each a text (u16 length + bytes); slots: primary u32, term u64, replicas u8, each u32; last xxh3_64 of all before it.
namespace {

constexpr std::uint64_t kMagic = 0x3130424154544c53;  // "SLTTAB01"
constexpr std::uint32_t kServersMax = 4096, kLaneCountMax = 256, kTextMax = 256, kReplicasMax = 8, kExpiredMax = 1 << 18;

class Writer {
 public:
  template <class T>
  void put(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_text(const std::string& text) {
    put(static_cast<std::uint16_t>(text.size()));
    out_ += text;
  }
  std::string finish() {
    put(XXH3_64bits(out_.data(), out_.size()));
    return std::move(out_);
  }

 private:
  std::string out_;
};

/// After a read past the end every further one gives zeros, and failed() stays true: callers check bounds and, once, failed().
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  T get() {
    T value{};
    const auto bytes = take(sizeof value);
    if (!failed_) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string get_text() {
    const auto size = get<std::uint16_t>();
    if (size > kTextMax) failed_ = true;
    return std::string(take(size));
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }

 private:
  std::string_view take(std::size_t n) {
    if (n > rest_.size()) failed_ = true;
    if (failed_) return {};
    const auto out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  std::string_view rest_;
  bool failed_ = false;
};

tl::unexpected<Error> malformed(const char* what) { return fail(Errc::kMalformed, std::string("slot table: ") + what); }

Result<void> read_servers(Reader& in, std::uint32_t count, SlotTable& table) {
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    ServerEntry entry;
    entry.id = ServerId(in.get<std::uint32_t>());
    entry.name = in.get_text();
    const auto lanes = in.get<std::uint16_t>();
    if (lanes < 1 || lanes > kLaneCountMax) return malformed("a server's number of lanes");
    for (std::uint16_t lane = 0; lane < lanes && !in.failed(); ++lane) entry.lanes.push_back(in.get_text());
    if (!table.servers.empty() && !(table.servers.back().id < entry.id)) return malformed("servers are not ordered by id");
    table.servers.push_back(std::move(entry));
  }
  return {};
}

Result<void> read_slots(Reader& in, std::uint32_t count, SlotTable& table) {
  table.slots.reserve(count);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    SlotConfig slot;
    slot.primary = ServerId(in.get<std::uint32_t>());
    slot.term = Term(in.get<std::uint64_t>());
    const auto replicas = in.get<std::uint8_t>();
    if (replicas > kReplicasMax) return malformed("more than 8 replicas");
    for (std::uint8_t r = 0; r < replicas; ++r) slot.replicas.emplace_back(in.get<std::uint32_t>());
    if (in.failed()) break;
    const auto unknown = [&](ServerId id) { return table.server(id) == nullptr; };
    if (unknown(slot.primary) || std::any_of(slot.replicas.begin(), slot.replicas.end(), unknown)) return malformed("a hash slot on an unknown server");
    table.slots.push_back(std::move(slot));
  }
  return {};
}

}  // namespace

std::string encode(const SlotTable& table) {
  Writer out;
  out.put(kMagic);
  out.put(table.version.value);
  out.put(table.expired_floor.value);
  out.put(static_cast<std::uint32_t>(table.expired.size()));
  out.put(static_cast<std::uint32_t>(table.servers.size()));
  out.put(static_cast<std::uint32_t>(table.slots.size()));
  for (const auto incarnation : table.expired) out.put(incarnation.value);
  for (const auto& server : table.servers) {
    out.put(server.id.value);
    out.put_text(server.name);
    out.put(static_cast<std::uint16_t>(server.lanes.size()));
    for (const auto& lane : server.lanes) out.put_text(lane);
  }
  for (const auto& slot : table.slots) {
    out.put(slot.primary.value);
    out.put(slot.term.value);
    out.put(static_cast<std::uint8_t>(slot.replicas.size()));
    for (const auto replica : slot.replicas) out.put(replica.value);
  }
  return out.finish();
}

Result<SlotTable> slot_table_from_bytes(std::string_view bytes) {
  if (bytes.size() < 16) return malformed("too short");
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - 8, 8);
  bytes.remove_suffix(8);
  Reader in(bytes);
  if (in.get<std::uint64_t>() != kMagic) return malformed("not one, or of another version");
  if (XXH3_64bits(bytes.data(), bytes.size()) != sum) return malformed("its checksum is wrong");
  SlotTable table;
  table.version = RingVersion(in.get<std::uint64_t>());
  table.expired_floor = Incarnation(in.get<std::uint64_t>());
  const auto expired = in.get<std::uint32_t>();
  const auto servers = in.get<std::uint32_t>();
  const auto slots = in.get<std::uint32_t>();
  if (in.failed() || expired > kExpiredMax || servers > kServersMax) return malformed("counts out of bounds");
  if (slots != (table.made() ? kHashSlots : 0)) return malformed("a number of hash slots that is not 16384");
  for (std::uint32_t i = 0; i < expired && !in.failed(); ++i) table.expired.emplace_back(in.get<std::uint64_t>());
  if (const auto ok = read_servers(in, servers, table); !ok) return fail(ok.error());
  if (const auto ok = read_slots(in, slots, table); !ok) return fail(ok.error());
  if (in.failed()) return malformed("cut short");
  if (in.left() != 0) return malformed("bytes after its end");
  return table;
}

}  // namespace sluice::proto
