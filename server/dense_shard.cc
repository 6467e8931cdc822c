#include "server/dense_shard.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "proto/table_init.h"
#include "server/detail/update_check.h"

namespace sluice::server {

DenseShard::DenseShard(const proto::TableSpec& spec, ShardId shard, const Optimizer& optimizer, BufferPool& pool) : optimizer_(optimizer), pool_(pool) {
  const std::size_t n = spec.shard_floats(shard);
  SLUICE_ASSERT(n > 0);
  values_ = pool_.take(n);
  init_dense(spec, shard, {values_->data(), n});
  state_ = std::make_shared<FloatBlock>(optimizer.state_floats(n));
}

DenseShard::~DenseShard() = default;

void DenseShard::read_with_state(std::span<float> out) const {
  SLUICE_ASSERT(out.size() == values_->size() + state_->size());
  std::copy_n(values_->data(), values_->size(), out.data());
  std::copy_n(state_->data(), state_->size(), out.data() + values_->size());
}

Result<void> DenseShard::check(proto::PushKind kind, Bytes update, bool state) const {
  const std::size_t n = values_->size() + (state ? state_->size() : 0);
  if (const auto optimizer = optimizer_for(kind, optimizer_, state); !optimizer) return fail(optimizer.error());
  if (update.size() != n * sizeof(float)) { return fail(Errc::kRejected, fmt::format("{} floats for a shard of {}", update.size() / sizeof(float), n)); }
  const UnalignedFloat* floats = floats_of(update);
  if (!all_finite(floats, n)) {
    const std::size_t at = first_not_finite(floats, n);
    return fail(Errc::kRejected, fmt::format("float {} of the update is {}", at, static_cast<float>(floats[at])));
  }
  return {};
}

Result<void> DenseShard::apply(proto::PushKind kind, Bytes update, std::uint32_t step, bool with_state) {
  if (auto ok = check(kind, update, with_state); !ok) return ok;
  const std::size_t n = values_->size();
  const auto optimizer = optimizer_for(kind, optimizer_, with_state);
  const UnalignedFloat* floats = floats_of(update);
  updates_ += kind == proto::PushKind::kGradient ? 1 : 0;
  const UpdateInfo info{updates_, step};
  if (state_->read_by_others()) state_ = state_->copy();
  float* state = state_->data();
  if (!values_->read_by_others()) {
    values_->lend(false);
    (*optimizer)->apply({values_->data(), values_->data(), state, floats, n}, info);
  } else {
    auto next = pool_.take(n);
    (*optimizer)->apply({values_->data(), next->data(), state, floats, n}, info);
    auto before = std::exchange(values_, std::move(next));
    if (!before->lent()) pool_.give(std::move(before));
  }
  for (std::size_t i = 0; with_state && i < state_->size(); ++i) state[i] += floats[n + i];
  ++version_;
  return {};
}

DenseSnapshot DenseShard::snapshot() {
  values_->lend(true);
  return {share(), FloatBlock::share(state_), state_->size(), updates_};
}

void DenseShard::restore(std::span<const float> values, std::span<const float> state, std::uint64_t updates) {
  SLUICE_ASSERT(version_ == 1 && !values_->read_by_others() && values.size() == values_->size() && (state.empty() || state.size() == state_->size()));
  std::copy(values.begin(), values.end(), values_->data());
  std::copy(state.begin(), state.end(), state_->data());
  updates_ = updates;
}

}  // namespace sluice::server
