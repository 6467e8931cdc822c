#include "worker/models/trees/splits.h"

#include "base/assert.h"

namespace sluice::worker::models::trees {
namespace {

constexpr double kNoise = 1e-6;

double score(const Sums& sums, double lambda) { return sums.g * sums.g / (sums.h + lambda); }

}  // namespace

double leaf_weight(const Sums& sums, const SplitRules& rules) { return sums.h + rules.lambda > 0 ? -sums.g / (sums.h + rules.lambda) : 0; }

Sums total_of(std::span<const float> bins) {
  Sums sum;
  for (std::size_t i = 0; i + 1 < bins.size(); i += 2) sum.g += static_cast<double>(bins[i]), sum.h += static_cast<double>(bins[i + 1]);
  return sum;
}

std::optional<Split> best_split(std::span<const float> histogram, std::size_t features, std::size_t bins, const SplitRules& rules) {
  SLUICE_ASSERT(histogram.size() == features * bins * 2);
  std::optional<Split> best;
  for (std::size_t f = 0; f < features; ++f) {
    const auto of_feature = histogram.subspan(f * bins * 2, bins * 2);
    const Sums total = total_of(of_feature);
    Sums left;
    for (std::size_t b = 0; b + 1 < bins; ++b) {
      left.g += static_cast<double>(of_feature[2 * b]), left.h += static_cast<double>(of_feature[2 * b + 1]);
      const Sums right{total.g - left.g, total.h - left.h};
      if (left.h <= 0 || right.h <= 0 || left.h < rules.min_child_weight || right.h < rules.min_child_weight) continue;
      const double children = score(left, rules.lambda) + score(right, rules.lambda);
      const double gain = 0.5 * (children - score(total, rules.lambda)) - rules.gamma;
      if (gain <= kNoise * children || (best && gain <= best->gain)) continue;
      best = Split{static_cast<std::uint32_t>(f), static_cast<std::uint32_t>(b), gain, left, right};
    }
  }
  return best;
}

}  // namespace sluice::worker::models::trees
