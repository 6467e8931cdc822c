#include "cli/detail/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace sluice::cli::detail {
namespace {
using config::Kind;
using config::Node;

/// Model parameters whose one value is a list already: for these a list of lists is the axis.
constexpr std::array<std::string_view, 1> kListValued = {"hidden"};

/// The values along the axis, or null if this is one value.
const std::vector<Node>* axis_of(std::string_view key, const Node& value) {
  if (value.kind != Kind::kList) return nullptr;
  const bool list_valued = std::find(kListValued.begin(), kListValued.end(), key) != kListValued.end();
  if (list_valued && std::none_of(value.items.begin(), value.items.end(), [](const Node& n) { return n.kind == Kind::kList; })) return nullptr;
  return &value.items;
}

/// Which part of a job may have axes: its own scalars, and the scalars one level down (params, optimizer, consistency, slots).
template <class F>
void for_each_axis(const Node& job, F found) {
  for (std::size_t i = 0; i < job.entries.size(); ++i) {
    const auto& [key, key_mark, value] = job.entries[i];
    if (key == "name") continue;
    if (const auto* items = axis_of(key, value)) found(i, std::size_t{0}, false, *items, key, value.mark);
    if (value.kind != Kind::kMap) continue;
    for (std::size_t k = 0; k < value.entries.size(); ++k) {
      const auto& inner = value.entries[k];
      if (const auto* items = axis_of(inner.key, inner.value)) found(i, k, true, *items, inner.key, inner.value.mark);
    }
  }
}

struct Axis {
  std::size_t entry;
  std::size_t inner;
  bool nested;
  const std::vector<Node>* items;
};
}  // namespace

std::vector<Node> spread(const Node& job, std::size_t variants_max, config::Problems& problems) {
  std::vector<Axis> axes;
  std::size_t count = 1;
  bool good = true;
  for_each_axis(job, [&](std::size_t entry, std::size_t inner, bool nested, const std::vector<Node>& items, std::string_view key, const config::Mark& mark) {
    if (items.empty()) {
      problems.add(mark, fmt::format("'{}' is a sweep over no values", key));
      good = false;
      return;
    }
    axes.push_back({entry, inner, nested, &items});
    if (good && items.size() > variants_max / count) {
      problems.add(mark, fmt::format("the sweep makes more than {} jobs", variants_max));
      good = false;
    }
    if (good) count *= items.size();
  });
  std::vector<Node> out;
  if (!good) return out;
  for (std::size_t variant = 0; variant < count; ++variant) {
    Node& node = out.emplace_back(job);
    std::size_t rest = variant;
    for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
      Node& place = axis->nested ? node.entries[axis->entry].value.entries[axis->inner].value : node.entries[axis->entry].value;
      place = (*axis->items)[rest % axis->items->size()];
      rest /= axis->items->size();
    }
  }
  return out;
}

}  // namespace sluice::cli::detail
