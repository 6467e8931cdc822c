#pragma once
/// One bucket of a sparse table: rows by 64-bit key, in dense slabs behind an open-addressing index: at most 40 bytes a row over values and optimizer state.
/// One lane's thread.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/messages.h"
#include "server/optimizer.h"

namespace sluice::server {

class SparseShard {
 public:
  /// `spec` and `optimizer` outlive it. REQUIRES: spec is sparse and has that shard.
  SparseShard(const proto::TableSpec& spec, ShardId shard, const Optimizer& optimizer);

  /// Counts from 1; one up per applied update message.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::size_t rows() const { return rows_; }
  /// The most rows it takes: its even share of the table's rows, and what hashing strays from even (eight standard deviations): a table declared for N keys
  /// takes any N keys.
  [[nodiscard]] std::size_t rows_max() const { return rows_max_; }

  /// Writes keys.size() / 8 rows of the table's width to `out`, in the order asked. Rows that were never pushed to are their first values, and are not made.
  /// The keys are copied before they are checked, here and in apply(): their sender may be able to write to them. Errors: kRejected: a key of another shard.
  [[nodiscard]] Result<void> read(Bytes keys, std::span<float> out) const;
  /// Applies one update: row i goes to keys[i], in order; a key may come twice. Missing rows are made. Any alignment. Errors (nothing was changed): kRejected:
  /// wrong sizes, a key of another shard, a NaN or infinity (its key named), a kind that is not served; kFull: it would exceed rows_max().
  [[nodiscard]] Result<void> apply(proto::PushKind kind, Bytes keys, Bytes update, std::uint32_t step);
  /// Refuses what apply() would refuse (then nothing was changed), else makes the missing rows, with their first values, so that this update can be applied
  /// later whatever comes between.
  [[nodiscard]] Result<void> prepare(proto::PushKind kind, std::span<const Key> keys, Bytes update);

  /// Every row that was made, in no order that means anything: its key, and width() floats in `rows`. Both are appended to.
  void copy_rows(std::vector<Key>& keys, std::vector<float>& rows) const;

  /// All memory of rows and index.
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t width() const { return width_; }

 private:
  /// Row + 1 (0 = free) and the low half of the key's place hash, which spares most looks at other keys' rows.
  struct IndexEntry {
    std::uint32_t row_plus_1 = 0;
    std::uint32_t tag = 0;
  };
  static constexpr std::size_t kNone = ~std::size_t{0};
  static constexpr std::size_t kHeaderFloats = 3;  ///< before a row's values: its key (8 bytes) and its count of updates (4)

  [[nodiscard]] std::size_t home_of(std::uint64_t hash) const;
  [[nodiscard]] float* row_at(std::size_t row) const;
  [[nodiscard]] std::size_t find(Key key, std::uint64_t hash) const;
  /// Brings what find() and then a look at the row will touch on its way, so that the cache misses of these keys overlap.
  void fetch(std::span<const Key> keys) const;
  void fetch(std::uint64_t hash) const;
  [[nodiscard]] std::size_t make(Key key, std::uint64_t hash);
  void insert(std::uint64_t hash, std::size_t row);
  void grow_index();
  [[nodiscard]] Result<void> check(proto::PushKind kind, std::span<const Key> keys, Bytes update) const;
  [[nodiscard]] Result<void> check_keys(std::span<const Key> keys) const;
  [[nodiscard]] std::size_t count_missing(std::span<const Key> keys) const;

  const proto::TableSpec& spec_;
  ShardId shard_;
  const Optimizer& optimizer_;
  std::size_t width_;
  std::size_t stride_;      ///< floats of a row: header, values, state
  unsigned slab_bits_ = 0;  ///< rows of a slab: 2^slab_bits_
  std::size_t rows_max_;
  std::size_t rows_ = 0;
  std::vector<std::unique_ptr<float[]>> slabs_;
  std::vector<IndexEntry> index_;
  std::uint64_t version_ = 1;
};

}  // namespace sluice::server
