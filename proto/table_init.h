#pragma once
/// First values of shards and rows: counter-based draws, so what is lost and made again is the same.

#include <cstdint>
#include <span>

#include "proto/table_spec.h"

namespace sluice::proto {

/// Fills `out` with the first values of a dense shard. The same for the same (seed, table id, shard, init), on every host.
void init_dense(const TableSpec& spec, ShardId shard, std::span<float> out);
/// Fills `out` (cols floats) with the first values of a sparse row. The same for the same (seed, table id, key, init), whatever the shard.
void init_row(const TableSpec& spec, std::uint64_t key, std::span<float> out);

}  // namespace sluice::proto
