#pragma once
/// What both kinds of shard check of an update before anything is changed.

#include <cstddef>

#include "base/result.h"
#include "proto/messages.h"
#include "server/optimizer.h"

namespace sluice::server {

/// The optimizer that serves a kind of push: the table's own for gradients, plain addition for deltas. `state`: the update carries the own one's state too.
/// Errors: kRejected for a kind that is not served, or not with state.
[[nodiscard]] Result<const Optimizer*> optimizer_for(proto::PushKind kind, const Optimizer& own, bool state = false);
/// Index of the first NaN or infinity. REQUIRES: there is one.
[[nodiscard]] std::size_t first_not_finite(const UnalignedFloat* values, std::size_t n);

}  // namespace sluice::server
