#pragma once
/// The best split of a tree's node, from its histogram. Chen and Guestrin, XGBoost, KDD'16: a leaf's weight is eq. 5, −G / (H + λ); a split's gain eq. 7,
/// ½ (G_L² / (H_L + λ) + G_R² / (H_R + λ) − G² / (H + λ)) − γ.

#include <cstdint>
#include <optional>
#include <span>

namespace sluice::worker::models::trees {

struct SplitRules {
  double lambda = 1;            ///< λ ≥ 0
  double gamma = 0;             ///< γ ≥ 0
  double min_child_weight = 1;  ///< the least H of a child
};

/// Sums of gradients and of hessians.
struct Sums {
  double g = 0, h = 0;
};
[[nodiscard]] double leaf_weight(const Sums& sums, const SplitRules& rules);

struct Split {
  std::uint32_t feature = 0, bin = 0;  ///< bins 0 … bin go to the left
  double gain = 0;
  Sums left, right;
};
/// histogram: features × bins × (sum of gradients, sum of hessians). Of equal gains the first feature's lowest bin. None where no split gains: a gain below a
/// millionth of the children's score is taken for what rounding leaves.
[[nodiscard]] std::optional<Split> best_split(std::span<const float> histogram, std::size_t features, std::size_t bins, const SplitRules& rules);
/// A node's sums: of one feature's bins.
[[nodiscard]] Sums total_of(std::span<const float> bins);

}  // namespace sluice::worker::models::trees
