#include "server/detail/memory_budget.h"

namespace sluice::server {

bool MemoryBudget::take(std::uint64_t bytes) {
  std::uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (bytes > limit_ || used > limit_ - bytes) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

std::uint64_t declared_bytes(const proto::TableSpec& table, const Optimizer& optimizer, JobId job, const View& view, std::uint32_t lane) {
  const bool sparse = table.kind == proto::TableKind::kSparse;
  constexpr std::uint64_t kBesideRow = 40;
  const std::uint64_t row = kBesideRow + sizeof(float) * (table.cols + optimizer.state_floats(table.cols));
  std::uint64_t sum = 0;
  for (std::uint32_t shard = 0; shard < table.shards(); ++shard) {
    if (!view.owns(proto::hash_slot(job, table.id, ShardId(shard)), lane)) continue;
    const std::uint64_t floats = table.shard_floats(ShardId(shard));
    sum += sparse ? (table.rows + table.buckets - 1) / table.buckets * row : sizeof(float) * (floats + optimizer.state_floats(floats));
  }
  return sum;
}

}  // namespace sluice::server
