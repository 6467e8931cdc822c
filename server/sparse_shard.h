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
#include "proto/saved_cut.h"
#include "server/detail/float_block.h"
#include "server/optimizer.h"

namespace sluice::server {

/// The rows of a bucket at one moment, for any thread, as long as it likes: nothing is copied but the slabs that are updated meanwhile.
class SparseSnapshot final : public proto::RowSource {
 public:
  [[nodiscard]] std::size_t rows() const override { return rows_; }
  [[nodiscard]] std::size_t state_floats() const override { return stride_ - kHeaderFloats - width_; }
  void copy(std::size_t first, std::size_t n, const proto::RowTargets& to) const override;

 private:
  friend class SparseShard;
  static constexpr std::size_t kHeaderFloats = 3;  ///< before a row's values: its key (8 bytes) and its count of updates (4)
  std::vector<std::shared_ptr<const float>> slabs_;
  std::size_t rows_ = 0, width_ = 0, stride_ = 0;
  unsigned slab_bits_ = 0;
};

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

  /// Floats of a row as it is read and pushed: its values, and behind them, with `state`, the optimizer's state.
  [[nodiscard]] std::size_t row_floats(bool state) const { return state ? stride_ - kHeaderFloats : width_; }
  /// Writes keys.size() / 8 rows of row_floats(state) to `out`, in the order asked. Rows that were never pushed to are their first values, and are not made.
  /// The keys are copied before they are checked, here and in apply(): their sender may be able to write to them. Errors: kRejected: a key of another shard.
  [[nodiscard]] Result<void> read(Bytes keys, std::span<float> out, bool state = false) const;
  /// Applies one update of rows of row_floats(state): row i goes to keys[i], in order; with `state` both are added; a key may come twice. Missing rows are
  /// made. Any alignment. Errors (nothing was changed): kRejected: wrong sizes, a key of another shard, a NaN or infinity (its key named), a kind that is not
  /// served; kFull: it would exceed rows_max().
  [[nodiscard]] Result<void> apply(proto::PushKind kind, Bytes keys, Bytes update, std::uint32_t step, bool state = false);
  /// Refuses what apply() would refuse (then nothing was changed), else makes the missing rows, with their first values, so that this update can be applied
  /// later whatever comes between.
  [[nodiscard]] Result<void> prepare(proto::PushKind kind, std::span<const Key> keys, Bytes update, bool state = false);

  /// Every row that was made, in no order that means anything.
  [[nodiscard]] std::shared_ptr<const SparseSnapshot> snapshot();
  /// Makes rows as a snapshot held them: values of width() floats a row, state as the optimizer's (empty: fresh), counts of updates. REQUIRES: no rows yet,
  /// distinct keys of this shard, at most rows_max() of them.
  void restore(std::span<const Key> keys, std::span<const float> values, std::span<const float> state, std::span<const std::uint64_t> counts);
  /// Of any bucket of such a table.
  [[nodiscard]] static std::size_t rows_max(const proto::TableSpec& spec);

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
  static constexpr std::size_t kBlock = 32;  ///< keys looked up together
  static constexpr std::size_t kHeaderFloats = SparseSnapshot::kHeaderFloats;

  [[nodiscard]] std::size_t home_of(std::uint64_t hash) const;
  [[nodiscard]] float* row_at(std::size_t row) const;
  /// The row, to be written to: a slab that a snapshot still reads is copied first.
  [[nodiscard]] float* own_row(std::size_t row);
  [[nodiscard]] std::size_t find(Key key, std::uint64_t hash) const;
  /// find() of at most kBlock keys, whose cache misses overlap, those of `next` keys too.
  void find_block(std::span<const Key> keys, const std::uint64_t* hashes, std::span<const std::uint64_t> next, std::size_t* rows) const;
  /// visit(i, row or kNone) of each key, in order.
  template <class Visit>
  void each_row(std::span<const Key> keys, Visit visit) const;
  /// hashes_ of these keys.
  void hash_keys(std::span<const Key> keys) const;
  [[nodiscard]] std::size_t make(Key key, std::uint64_t hash);
  void insert(std::uint64_t hash, std::size_t row);
  void grow_index();
  [[nodiscard]] Result<void> check(proto::PushKind kind, std::span<const Key> keys, Bytes update, bool state) const;
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
  struct Slab {
    float* floats = nullptr;  ///< the block's: one look less on the way to a row
    std::shared_ptr<FloatBlock> block;
    bool lent = false;  ///< a snapshot may read it
  };
  std::vector<Slab> slabs_;
  std::size_t lent_ = 0;  ///< slabs
  std::vector<IndexEntry> index_;
  mutable std::vector<std::uint64_t> hashes_;  ///< scratch: place hashes of a message's keys
  std::uint64_t version_ = 1;
};

}  // namespace sluice::server
