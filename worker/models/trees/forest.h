#pragma once
/// Trees as floats in a table, and how a row finds its leaf. A tree of depth D is a full one: node i has the children 2i + 1 and 2i + 2; a node that is not
/// split sends every row to the left, so all rows end in one of 2^D leaves. A tree's floats: for each of its 2^D − 1 nodes the feature + 1 (0: not split), then
/// each node's threshold (rows whose feature is at least that go to the right), then the leaves' values. All zeros: a tree without splits that adds nothing.

#include <cstdint>
#include <span>
#include <vector>

namespace sluice::worker::models::trees {

struct TreeShape {
  std::uint32_t depth = 0;
  std::uint64_t features = 0;
  [[nodiscard]] std::size_t nodes() const { return (std::size_t{1} << depth) - 1; }
  [[nodiscard]] std::size_t leaves() const { return std::size_t{1} << depth; }
  [[nodiscard]] std::size_t floats() const { return 2 * nodes() + leaves(); }
  /// Positions in a tree's floats. `left_leaf`: where a row at this node ends if nothing below is split.
  [[nodiscard]] std::size_t feature(std::size_t node) const { return node; }
  [[nodiscard]] std::size_t threshold(std::size_t node) const { return nodes() + node; }
  [[nodiscard]] std::size_t left_leaf(std::size_t node) const;
};

/// Trees ready to be walked. A copy of the floats that they were made of is kept: following() knows what is new.
class Forest {
 public:
  explicit Forest(const TreeShape& shape) : shape_(shape) {}

  /// Makes it the trees of `floats` (a whole number of trees). Returns how many at its beginning are as before. Throws std::runtime_error where a feature is
  /// none of the data's.
  std::size_t follow(std::span<const float> floats);
  [[nodiscard]] std::size_t size() const { return kept_.size() / shape_.floats(); }

  /// Adds to margins[k] what the trees [first, last) give to `row` (its features), tree t to margins[t mod margins.size()], in the trees' order.
  void add(std::span<const float> row, std::size_t first, std::size_t last, std::span<float> margins) const;
  /// The node at `level` (0 … depth, counted from the level's left) where `row` is in tree t.
  [[nodiscard]] std::uint32_t place(std::span<const float> row, std::size_t tree, std::uint32_t level) const;
  [[nodiscard]] float leaf(std::size_t tree, std::uint32_t place) const { return kept_[tree * shape_.floats() + 2 * shape_.nodes() + place]; }

 private:
  struct Node {
    std::uint32_t feature = 0;
    float threshold = 0;  // NaN: not split, no row is at least that
  };
  TreeShape shape_;
  std::vector<float> kept_;
  std::vector<Node> nodes_;
};

}  // namespace sluice::worker::models::trees
