#include "server/detail/held_updates.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::server {
namespace {

struct Weighted {
  const HeldUpdate* update = nullptr;
  float weight = 1;
};

std::vector<float> add_up(std::span<const Weighted> parts) {
  std::vector<float> sum(parts.front().update->values.size());
  float* to = sum.data();
  for (const Weighted& part : parts) {
    const float* from = part.update->values.data();
    const float weight = part.weight;
    for (std::size_t i = 0; i < sum.size(); ++i) to[i] += weight * from[i];
  }
  return sum;
}

/// One row of one slot's update.
struct RowPart {
  Key key = 0;
  float weight = 1;
  const float* values = nullptr;
};

void add_up_rows(std::span<const Weighted> parts, std::size_t width, CombinedUpdate& out) {
  std::size_t rows = 0;
  for (const Weighted& part : parts) rows += part.update->keys.size();
  std::vector<RowPart> all;
  all.reserve(rows);
  for (const Weighted& part : parts) {
    for (std::size_t i = 0; i < part.update->keys.size(); ++i) all.push_back({part.update->keys[i], part.weight, part.update->values.data() + i * width});
  }
  std::stable_sort(all.begin(), all.end(), [](const RowPart& a, const RowPart& b) { return a.key < b.key; });  // stable: a key's parts stay in slot order
  out.keys.reserve(rows);
  out.values.reserve(rows * width);
  for (const RowPart& part : all) {
    if (out.keys.empty() || out.keys.back() != part.key) {
      out.keys.push_back(part.key);
      out.values.resize(out.values.size() + width, 0.0F);
    }
    float* to = out.values.data() + out.values.size() - width;
    for (std::size_t i = 0; i < width; ++i) to[i] += part.weight * part.values[i];
  }
}

}  // namespace

Result<std::optional<CombinedUpdate>> HeldUpdates::combine(std::span<const proto::ApplySlot> slots, bool sums, std::size_t width, std::size_t state) const {
  double rows = 0;
  for (const auto& slot : slots) rows += slot.rows;
  const auto here = [this](const proto::ApplySlot& slot) {
    const auto it = held_.find(slot.client);
    return it != held_.end() && it->second.batch == slot.batch;
  };
  // A table that batches only read (a state of a model with phases) has none of a pass's clocks; never some of one.
  if (width == 0 && sums && std::none_of(slots.begin(), slots.end(), here)) return std::optional<CombinedUpdate>();
  std::vector<Weighted> parts;
  for (const auto& slot : slots) {
    if (!here(slot)) {
      if (width > 0) continue;  // its batch touched no row of this shard
      return fail(Errc::kInternal, fmt::format("batch {} of client {} is committed, and its update is not here", slot.batch, slot.client.value));
    }
    parts.push_back({&held_.at(slot.client), static_cast<float>(slot.rows / rows)});
  }
  if (parts.empty()) return std::optional<CombinedUpdate>();
  const proto::PushKind kind = parts.front().update->kind;
  const bool with_state = parts.front().update->state;
  if (std::any_of(parts.begin(), parts.end(), [&](const Weighted& part) { return part.update->kind != kind || part.update->state != with_state; })) {
    return fail(Errc::kRejected, "the slots of one clock pushed different kinds of update");
  }
  if (kind == proto::PushKind::kDelta || (kind == proto::PushKind::kGradient && sums)) {
    for (Weighted& part : parts) part.weight = 1;
  }
  CombinedUpdate out;
  out.state = with_state;
  out.kind = kind == proto::PushKind::kGradient ? kind : proto::PushKind::kDelta;
  if (width > 0) {
    add_up_rows(parts, width + (with_state ? state : 0), out);
  } else {
    out.values = add_up(parts);
  }
  return std::optional(std::move(out));
}

}  // namespace sluice::server
