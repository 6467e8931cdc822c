#pragma once
/// The updates of one shard that were pushed, checked and acknowledged, and wait for the Apply of their clock (bsp) or phase. One lane's thread.
///
/// At most one a client: a slot has one batch under way, and a later batch of the same client means that the earlier one was never committed (its slot went
/// away and came back). What an Apply does not name was never committed either, and goes with it. So a shard holds at most one update a client, and none longer
/// than until the next clock.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/messages.h"

namespace sluice::server {

/// One update as it was pushed, copied: its sender may write to the frames that brought it.
struct HeldUpdate {
  proto::PushKind kind = proto::PushKind::kGradient;
  std::uint64_t batch = 0;
  std::vector<Key> keys;      ///< sparse: one a row; a key may come twice
  std::vector<float> values;  ///< dense: the shard's floats; sparse: keys × width; with state: as proto::Section has it
  bool state = false;
  /// What it takes of a server's memory, about.
  [[nodiscard]] std::uint64_t bytes() const { return 128 + keys.size() * sizeof(Key) + values.size() * sizeof(float); }
};

/// A clock's updates as one.
struct CombinedUpdate {
  proto::PushKind kind = proto::PushKind::kGradient;  ///< kGradient or kDelta
  std::vector<Key> keys;                              ///< sparse: distinct, ascending
  std::vector<float> values;
  bool state = false;
};

class HeldUpdates {
 public:
  /// Keeps it instead of what was held of this client before.
  void hold(Incarnation client, HeldUpdate update) { held_.insert_or_assign(client, std::move(update)); }
  /// The updates of those slots, added up float by float in the order of `slots`, whatever order they came in. Gradients: their mean, weighted by the slots'
  /// rows; a slot that has none here counts with zeros. `sums` (an optimizer that takes no gradients): their sum. Deltas: their sum; averages: their weighted
  /// mean, as a delta. `width`: of a sparse table's rows; 0: dense. `state`: floats of optimizer state that such a row has behind them in updates with state.
  /// None where no slot pushed anything, which a dense table allows only with `sums`. Errors: kInternal: a slot's dense update is missing; kRejected: different
  /// kinds of push, or some with state.
  [[nodiscard]] Result<std::optional<CombinedUpdate>> combine(std::span<const proto::ApplySlot> slots, bool sums, std::size_t width,
                                                              std::size_t state = 0) const;
  void clear() { held_.clear(); }
  [[nodiscard]] std::size_t size() const { return held_.size(); }
  /// HeldUpdate::bytes() of what is held of this client.
  [[nodiscard]] std::uint64_t bytes(Incarnation client) const {
    const auto it = held_.find(client);
    return it == held_.end() ? 0 : it->second.bytes();
  }

 private:
  std::map<Incarnation, HeldUpdate> held_;
};

}  // namespace sluice::server
