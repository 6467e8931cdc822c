#include "worker/models/trees/forest.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "base/assert.h"

namespace sluice::worker::models::trees {

std::size_t TreeShape::left_leaf(std::size_t node) const {
  const auto level = static_cast<std::uint32_t>(std::bit_width(node + 1)) - 1;
  return 2 * nodes() + ((node + 1 - (std::size_t{1} << level)) << (depth - level));
}

std::size_t Forest::follow(std::span<const float> floats) {
  const std::size_t each = shape_.floats(), trees = floats.size() / each;
  SLUICE_ASSERT(floats.size() == trees * each);
  std::size_t same = 0;
  while (same < trees && same < size() && std::memcmp(kept_.data() + same * each, floats.data() + same * each, each * sizeof(float)) == 0) ++same;
  kept_.resize(same * each);  // what throws below leaves whole trees
  nodes_.resize(same * shape_.nodes());
  for (std::size_t t = same; t < trees; ++t) {
    const float* tree = floats.data() + t * each;
    for (std::size_t i = 0; i < shape_.nodes(); ++i) {
      const auto feature = static_cast<double>(tree[shape_.feature(i)]);
      if (!(feature >= 0 && feature <= static_cast<double>(shape_.features)))
        throw std::runtime_error(fmt::format("tree {} asks for feature {} of {}", t, feature - 1, shape_.features));
      const auto number = static_cast<std::uint32_t>(feature);
      nodes_.push_back({number == 0 ? 0 : number - 1, number == 0 ? std::numeric_limits<float>::quiet_NaN() : tree[shape_.threshold(i)]});
    }
    kept_.insert(kept_.end(), tree, tree + each);
  }
  return same;
}

std::uint32_t Forest::place(std::span<const float> row, std::size_t tree, std::uint32_t level) const {
  const Node* nodes = nodes_.data() + tree * shape_.nodes();
  std::size_t i = 0;
  for (std::uint32_t d = 0; d < level; ++d) i = 2 * i + 1 + (row[nodes[i].feature] >= nodes[i].threshold ? 1 : 0);
  return static_cast<std::uint32_t>(i + 1 - (std::size_t{1} << level));
}

void Forest::add(std::span<const float> row, std::size_t first, std::size_t last, std::span<float> margins) const {
  std::size_t output = first % margins.size();
  for (std::size_t t = first; t < last; ++t) {
    margins[output] += leaf(t, place(row, t, shape_.depth));
    if (++output == margins.size()) output = 0;
  }
}

}  // namespace sluice::worker::models::trees
