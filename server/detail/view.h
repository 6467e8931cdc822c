#pragma once
/// What a lane knows of the cluster: made by the control actor, immutable, shared with all lanes of the server.

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "proto/slot_table.h"

namespace sluice::server {

class View {
 public:
  /// REQUIRES: table.made(). `lanes`: of this server.
  View(ServerId self, std::uint32_t lanes, proto::SlotTable table)
      : self_(self), lanes_(lanes), table_(std::move(table)), encoded_(proto::encode(table_)), expired_(table_.expired.begin(), table_.expired.end()) {}

  [[nodiscard]] ServerId self() const { return self_; }
  [[nodiscard]] RingVersion version() const { return table_.version; }
  /// Whether that lane of this server serves the hash slot.
  [[nodiscard]] bool owns(HashSlot slot, std::uint32_t lane) const { return table_.at(slot).primary == self_ && slot.value % lanes_ == lane; }
  [[nodiscard]] std::uint32_t term(HashSlot slot) const { return static_cast<std::uint32_t>(table_.at(slot).term.value); }
  [[nodiscard]] const proto::SlotTable& table() const { return table_; }
  [[nodiscard]] bool is_expired(Incarnation client) const { return client < table_.expired_floor || expired_.contains(client); }
  /// Names of the servers that own hash slots.
  [[nodiscard]] std::vector<std::string> servers() const {
    std::unordered_set<std::uint32_t> owners;
    for (const auto& slot : table_.slots) owners.insert(slot.primary.value);
    std::vector<std::string> names;
    for (const auto& server : table_.servers)
      if (owners.contains(server.id.value)) names.push_back(server.name);
    return names;
  }
  /// The slot table's bytes.
  [[nodiscard]] const std::string& encoded() const { return encoded_; }

 private:
  ServerId self_;
  std::uint32_t lanes_;
  proto::SlotTable table_;
  std::string encoded_;
  std::unordered_set<Incarnation> expired_;
};

}  // namespace sluice::server
