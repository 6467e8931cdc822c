#pragma once
/// One shard of a dense table: up to kShardFloats values, their optimizer state, and a version. One lane's thread; replies that share its values live as long
/// as they like.

#include <cstdint>
#include <memory>
#include <span>

#include "base/bytes.h"
#include "base/result.h"
#include "net/transport.h"
#include "proto/messages.h"
#include "server/detail/float_block.h"
#include "server/detail/value_buffer.h"
#include "server/optimizer.h"

namespace sluice::server {

/// A dense shard at one moment, for any thread, as long as it likes: nothing is copied but what is updated meanwhile.
struct DenseSnapshot {
  net::Frame values;
  std::shared_ptr<const float> state;
  std::size_t state_floats = 0;
  std::uint64_t updates = 0;  ///< through the optimizer
};

class DenseShard {
 public:
  /// `optimizer` and `pool` outlive it. REQUIRES: spec is dense and has that shard.
  DenseShard(const proto::TableSpec& spec, ShardId shard, const Optimizer& optimizer, BufferPool& pool);
  ~DenseShard();
  DenseShard(const DenseShard&) = delete;
  DenseShard& operator=(const DenseShard&) = delete;

  /// Counts from 1 (the first values); one up per applied update. Comparable within a primary term.
  [[nodiscard]] std::uint64_t version() const { return version_; }
  [[nodiscard]] std::size_t floats() const { return values_->size(); }
  /// The values as they are now, not copied: the next update goes to another buffer while the frame lives.
  [[nodiscard]] net::Frame share() const { return ValueBuffer::share(values_); }
  /// The values now; valid until the next apply.
  [[nodiscard]] std::span<const float> values() const { return {values_->data(), values_->size()}; }
  /// Writes floats() values and behind them state_bytes() / 4 floats of optimizer state. REQUIRES: room for just these.
  void read_with_state(std::span<float> out) const;
  /// Applies one update from received bytes of any alignment: a gradient through the optimizer, a delta by addition; with `state` (deltas only) the
  /// optimizer's state lies behind the values, and is added too. Errors (nothing was changed): kRejected:
  /// wrong size, a NaN or infinity (its place named), a kind that is not served.
  [[nodiscard]] Result<void> apply(proto::PushKind kind, Bytes update, std::uint32_t step, bool state = false);
  /// What apply() would refuse, nothing changed.
  [[nodiscard]] Result<void> check(proto::PushKind kind, Bytes update, bool state = false) const;
  [[nodiscard]] std::size_t state_bytes() const { return state_->size() * sizeof(float); }
  [[nodiscard]] DenseSnapshot snapshot();
  /// Goes on from what a snapshot held, instead of from the first values. An empty state: fresh. REQUIRES: no update was applied; floats() values, and as much
  /// state as the optimizer has.
  void restore(std::span<const float> values, std::span<const float> state, std::uint64_t updates);

 private:
  const Optimizer& optimizer_;
  BufferPool& pool_;
  std::shared_ptr<ValueBuffer> values_;
  std::shared_ptr<FloatBlock> state_;
  std::uint64_t version_ = 1;
  std::uint64_t updates_ = 0;  ///< through the optimizer
};

}  // namespace sluice::server
