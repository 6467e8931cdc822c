#include "manager/ring_keeper.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace sluice::manager {

using proto::Role;
using proto::ServerEntry;

std::vector<RingServer> RingKeeper::ring() const {
  std::vector<RingServer> out;
  for (const ServerEntry& s : table_.servers) out.push_back({s.id, s.name, 1.0});
  return out;
}

/// Writes a placement into the table; a slot whose primary changes gets the next term.
void RingKeeper::take(const Placement& placement) {
  table_.slots.resize(placement.size());
  for (std::size_t i = 0; i < placement.size(); ++i) {
    proto::SlotConfig& slot = table_.slots[i];
    if (slot.primary != ServerId{} && slot.primary != placement[i]) ++slot.term.value;
    slot.primary = placement[i];
  }
}

bool RingKeeper::make(const Membership& members) {
  const auto& servers = members.of(Role::kServer);
  if (table_.made() || servers.size() < expected_) return false;
  for (const auto& [id, member] : servers) table_.servers.push_back({ServerId{id}, member.name, member.lanes});
  take(place_slots(ring(), options_));
  log::info("slot table made: {} hash slots on {} servers", table_.slots.size(), table_.servers.size());
  return true;
}

bool RingKeeper::follow_lanes(const Membership& members) {
  bool changed = false;
  for (ServerEntry& entry : table_.servers) {
    const Member* member = members.find(Role::kServer, entry.id.value);
    if (member == nullptr || member->lanes == entry.lanes) continue;
    entry.lanes = member->lanes;
    changed = true;
  }
  return changed;
}

bool RingKeeper::join_and_leave(const Membership& members) {
  bool changed = false;
  Placement placement;
  for (const auto& slot : table_.slots) placement.push_back(slot.primary);
  for (const auto& [id, member] : members.of(Role::kServer)) {
    if (table_.server(ServerId{id}) != nullptr) continue;
    table_.servers.push_back({ServerId{id}, member.name, member.lanes});
    std::sort(table_.servers.begin(), table_.servers.end(), [](const ServerEntry& a, const ServerEntry& b) { return a.id < b.id; });
    placement = place_join(placement, ring(), ServerId{id}, options_);
    log::info("server {} joins the ring", member.name);
    changed = true;
  }
  for (std::size_t i = 0; i < table_.servers.size() && table_.servers.size() > 1;) {
    const ServerEntry entry = table_.servers[i];
    if (members.find(Role::kServer, entry.id.value) != nullptr || members.of(Role::kServer).empty()) {
      ++i;
      continue;
    }
    table_.servers.erase(table_.servers.begin() + static_cast<std::ptrdiff_t>(i));
    placement = place_leave(placement, ring(), entry.id, options_);
    log::info("server {} leaves the ring", entry.name);
    changed = true;
  }
  if (changed) take(placement);
  return changed;
}

bool RingKeeper::update(const Membership& members, bool idle) {
  bool changed = make(members);
  if (!table_.made() && !changed) return false;
  changed = follow_lanes(members) || changed;
  if (idle) changed = join_and_leave(members) || changed;
  const Incarnation floor = members.expired_floor();
  std::vector<Incarnation> expired = members.expired();
  // The floor may run ahead of what is published as long as nothing that was given out lies between.
  if (expired != table_.expired || (floor != table_.expired_floor && floor.value > table_.expired_floor.value)) {
    table_.expired = std::move(expired);
    table_.expired_floor = floor;
    changed = true;
  }
  if (!changed) return false;
  ++table_.version.value;
  bytes_ = proto::encode(table_);
  return true;
}

std::string RingKeeper::waiting_for(const Membership& members) const {
  if (!table_.made()) return fmt::format("waiting for servers {}/{}", members.of(Role::kServer).size(), expected_);
  std::size_t there = 0;
  const ServerEntry* missing = nullptr;
  for (const ServerEntry& entry : table_.servers) {
    if (members.find(Role::kServer, entry.id.value) != nullptr)
      ++there;
    else
      missing = &entry;
  }
  if (missing == nullptr) return {};
  return fmt::format("waiting for servers {}/{}: {} is not there", there, table_.servers.size(), missing->name);
}

Result<void> RingKeeper::restore(const std::string& bytes) {
  auto table = proto::slot_table_from_bytes(bytes);
  if (!table) return fail(table.error());
  table_ = std::move(*table);
  bytes_ = bytes;
  return {};
}

}  // namespace sluice::manager
