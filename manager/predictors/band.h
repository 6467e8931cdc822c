#pragma once
/// How wide a forecast's band is to be, learnt from how far the truth lay from earlier ones. For the predictor `ensemble`. One thread.

#include <array>

namespace sluice::manager {

/// The distribution of |error| / expected deviation, as its middle and three quantiles in the logarithm, each followed by small steps: a quantile goes up by
/// `rate` × share where an error lies beyond it and down where not, so that in the long run that share does (online quantile estimation; Gibbs, Candès:
/// Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021, adapt the level instead).
class Band {
 public:
  static constexpr std::size_t kQuantiles = 3;
  static constexpr std::array<double, kQuantiles> kInside = {0.5, 0.8, 0.9};
  Band();
  /// An error of a forecast with this expected deviation > 0. `judged`: how many there were before.
  void learn(double error, double deviation, double judged);
  /// Logarithms of what an expected deviation is multiplied with for kInside of the errors to be below.
  [[nodiscard]] std::array<double, kQuantiles> quantiles() const { return {middle_ + from_middle_[0], middle_ + from_middle_[1], middle_ + from_middle_[2]}; }

 private:
  double middle_;
  std::array<double, kQuantiles> from_middle_;
};

}  // namespace sluice::manager
