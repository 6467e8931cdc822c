#pragma once
/// What a TableHost is made of; for its own sources.

#include <memory>
#include <unordered_map>
#include <variant>

#include "server/detail/table_host.h"

namespace sluice::server {

struct TableHost::Shard {
  std::uint32_t term = 0;
  SequenceLog log;
  HeldUpdates held;
  std::variant<std::monostate, DenseShard, SparseShard> values;
  [[nodiscard]] std::uint64_t version() const {
    if (const auto* dense = std::get_if<DenseShard>(&values)) return dense->version();
    return std::get<SparseShard>(values).version();
  }
};

struct TableHost::Table {
  proto::TableSpec spec;
  std::unique_ptr<const Optimizer> optimizer;
  bool sums = false;  ///< the optimizer takes no gradients: a clock's updates are added up, not averaged
  std::unordered_map<ShardId, std::unique_ptr<Shard>> shards;
};

}  // namespace sluice::server
