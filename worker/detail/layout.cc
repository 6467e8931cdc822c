#include "worker/detail/layout.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::worker {

Layout make_layout(JobId job, std::vector<proto::TableSpec> tables, std::vector<TableUse> uses, bool state) {
  Layout out;
  out.state = state;
  out.uses = std::move(uses);
  if (out.uses.empty()) out.uses.resize(tables.size());
  SLUICE_ASSERT(out.uses.size() == tables.size());
  for (std::uint32_t t = 0; t < tables.size(); ++t) {
    const auto& spec = tables[t];
    SLUICE_ASSERT(spec.id.value == t);
    out.first_shard.push_back(out.shards);
    out.dense_first.push_back(0);
    out.sparse_slots.emplace_back();
    const bool dense = spec.kind == proto::TableKind::kDense;
    if (dense) {
      out.arena_floats = (out.arena_floats + 1) & ~std::uint64_t{1};
      out.dense_first.back() = out.arena_floats;
    }
    for (std::uint32_t s = 0; s < spec.shards(); ++s) {
      const HashSlot slot = proto::hash_slot(job, spec.id, ShardId(s));
      if (dense) {
        out.dense.push_back({spec.id, ShardId(s), slot, out.arena_floats, spec.shard_floats(ShardId(s)), out.shards + s});
        out.arena_floats += out.dense.back().floats;
      } else {
        out.sparse_slots.back().push_back(slot);
      }
    }
    out.shards += spec.shards();
  }
  out.tables = std::move(tables);
  return out;
}

std::vector<proto::TableSpec> table_specs(std::span<const TableDecl> declared, std::uint64_t seed, const proto::OptimizerSpec& optimizer, bool holds) {
  std::vector<proto::TableSpec> out;
  for (std::uint32_t t = 0; t < declared.size(); ++t) {
    const TableDecl& from = declared[t];
    proto::TableSpec spec;
    spec.id = TableId(t);
    spec.name = from.name;
    spec.kind = from.kind;
    spec.rows = from.rows;
    spec.cols = from.cols;
    spec.init = from.init;
    spec.seed = mix64(seed, t);
    spec.optimizer = optimizer;
    spec.holds = holds;
    if (from.kind == proto::TableKind::kSparse) {
      constexpr std::uint64_t kRowsABucket = 65536;
      const std::uint64_t wanted = std::clamp<std::uint64_t>((from.rows + kRowsABucket - 1) / kRowsABucket, 8, 1024);
      spec.buckets = static_cast<std::uint32_t>(std::bit_ceil(wanted));
    }
    out.push_back(std::move(spec));
  }
  return out;
}

proto::OptimizerSpec optimizer_of(const proto::JobSpec& job, std::uint64_t train_rows) {
  proto::OptimizerSpec out = job.optimizer;
  const auto steps = out.numbers.find("schedule.steps");
  if (steps != out.numbers.end() && steps->second == 0) steps->second = static_cast<double>((train_rows + job.batch - 1) / job.batch * job.epochs);
  return out;
}

std::uint32_t chunk_rows(std::uint64_t train_rows, std::uint32_t batch) {
  constexpr std::uint64_t kBatches = 16;
  constexpr std::uint64_t kChunks = 20;
  const std::uint64_t batches = std::clamp<std::uint64_t>(train_rows / (kChunks * batch), 1, kBatches);
  return static_cast<std::uint32_t>(batches * batch);
}

}  // namespace sluice::worker
