#pragma once
/// A job's tables cut into shards: where each dense shard's floats lie in one arena that holds all dense tables, and which hash slot every shard has.

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "proto/slot_table.h"
#include "proto/table_spec.h"
#include "worker/model.h"

namespace sluice::worker {

struct DenseShard {
  TableId table;
  ShardId shard;
  HashSlot slot;
  std::uint64_t first = 0;  ///< its first float in the arena
  std::uint32_t floats = 0;
  std::uint32_t index = 0;  ///< among all shards of the job
};

/// Parameters and gradients have the same layout: tables back to back, each beginning at an even float (a multiple of 8 bytes, so that neighbours can share a
/// frame).
struct Layout {
  std::vector<proto::TableSpec> tables;
  std::vector<DenseShard> dense;                    ///< in the order of tables and shards
  std::vector<std::uint64_t> dense_first;           ///< per table: its first float in the arena; 0 when sparse
  std::vector<std::vector<HashSlot>> sparse_slots;  ///< per table and bucket; empty when dense
  std::vector<std::uint32_t> first_shard;           ///< per table: index of its shard 0 among all shards
  std::vector<TableUse> uses;                       ///< per table
  std::uint64_t arena_floats = 0;
  std::uint32_t shards = 0;
  bool state = false;  ///< training pulls bring, and pushes carry, a float of optimizer state for each value (local steps with adagrad)

  [[nodiscard]] bool sparse(std::size_t table) const { return tables[table].kind == proto::TableKind::kSparse; }
  /// Of a row of a sparse table, with its state.
  [[nodiscard]] std::uint32_t row_floats(std::size_t table) const { return tables[table].cols * (state ? 2 : 1); }
  /// What a batch gets of a table, and what it gives. The end of a phase gets and gives all.
  [[nodiscard]] bool pulled(std::size_t table) const { return uses[table] != TableUse::kStatistics; }
  [[nodiscard]] bool pushed(std::size_t table) const { return uses[table] != TableUse::kState; }
  [[nodiscard]] std::uint32_t index(TableId table, ShardId shard) const { return first_shard[table.value] + shard.value; }
};

/// REQUIRES: ids are the positions; as many uses as tables, or none: all are parameters.
[[nodiscard]] Layout make_layout(JobId job, std::vector<proto::TableSpec> tables, std::vector<TableUse> uses = {}, bool state = false);

/// The specs of what a model declares: id = position, seed = mix64(seed, id), buckets of a sparse table = the power of two ≥ rows / 65536, at least 8 and at
/// most 1024. `holds`: servers may have to hold what is pushed: bsp, or a model with phases.
[[nodiscard]] std::vector<proto::TableSpec> table_specs(std::span<const TableDecl> declared, std::uint64_t seed, const proto::OptimizerSpec& optimizer,
                                                        bool holds = false);

/// The job's optimizer, with what only its data says: a cosine schedule over the whole job (schedule.steps: 0, server/schedule.h) ends at its last step.
[[nodiscard]] proto::OptimizerSpec optimizer_of(const proto::JobSpec& job, std::uint64_t train_rows);

/// Rows of a chunk: whole batches, about 16 of them, but few enough for at least 20 chunks where the data has 20 batches.
[[nodiscard]] std::uint32_t chunk_rows(std::uint64_t train_rows, std::uint32_t batch);

}  // namespace sluice::worker
