#pragma once
/// What a table is: declared by a model, registered with the job home and at every server lane that holds a shard of it.

#include <bit>
#include <cstdint>
#include <string>

#include "base/ids.h"
#include "proto/job_spec.h"

namespace sluice::proto {

enum class TableKind : std::uint8_t { kDense = 0, kSparse = 1 };
enum class InitKind : std::uint8_t { kZero = 0, kUniform = 1, kNormal = 2 };

/// First values. Counter-based from (seed, table, shard or key, index): a shard or row that is lost and made again is the same.
struct InitSpec {
  InitKind kind = InitKind::kZero;
  float scale = 0;  ///< uniform: in [-scale, scale); normal: standard deviation
  friend bool operator==(const InitSpec&, const InitSpec&) = default;
};

/// Floats of one dense shard: the unit of placement (256 KiB).
inline constexpr std::uint32_t kShardFloats = 64 * 1024;
/// Bounds that every decoder holds a peer to.
inline constexpr std::uint64_t kTableFloatsMax = std::uint64_t{1} << 34;
inline constexpr std::uint32_t kTableWidthMax = 1 << 16;
inline constexpr std::uint32_t kTablesMax = 64;  ///< per job

struct TableSpec {
  TableId id;
  std::string name;
  TableKind kind = TableKind::kDense;
  std::uint64_t rows = 0;     ///< dense: rows; sparse: max_rows, the most rows it may ever hold
  std::uint32_t cols = 0;     ///< dense: columns; sparse: width of a row, in floats
  std::uint32_t buckets = 0;  ///< sparse: shards, a power of two, fixed at creation; dense: 0
  InitSpec init;
  std::uint64_t seed = 0;
  OptimizerSpec optimizer;
  bool holds = false;  ///< a push may name a batch, to be kept until an Apply names it: all tables of bsp jobs, and of models with phases
  friend bool operator==(const TableSpec&, const TableSpec&) = default;

  [[nodiscard]] std::uint64_t floats() const { return rows * cols; }
  /// Number of shards: dense: ceil(rows × cols / kShardFloats); sparse: buckets.
  [[nodiscard]] std::uint32_t shards() const;
  /// Dense: floats in that shard (the last may be short). Sparse: 0.
  [[nodiscard]] std::uint32_t shard_floats(ShardId shard) const;
  /// Sparse: the shard of a key: top bits of mix64(key).
  [[nodiscard]] ShardId shard_of(std::uint64_t key) const;
  /// The same of mix64(key), where that is known already.
  [[nodiscard]] ShardId shard_of_mixed(std::uint64_t mixed) const {
    return ShardId(buckets <= 1 ? 0 : static_cast<std::uint32_t>(mixed >> (65 - std::bit_width(buckets))));
  }
};

/// Errors: kMalformed naming the field that is out of its bounds.
[[nodiscard]] Result<void> validate(const TableSpec& spec);

}  // namespace sluice::proto
