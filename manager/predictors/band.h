#pragma once
/// How wide a forecast's band is to be, learnt from how far the truth lay from earlier ones. For the predictor `ensemble`. One thread.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::manager {

/// The distribution of |error| / expected deviation, as its middle and three quantiles in the logarithm, each followed by small steps: a quantile goes up by
/// `rate` × share where an error lies beyond it and down where not, so that in the long run that share does (online quantile estimation; Gibbs, Candès:
/// Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021, adapt the level instead).
class Band {
 public:
  static constexpr std::size_t kQuantiles = 3;
  static constexpr std::array<double, kQuantiles> kInside = {0.5, 0.8, 0.9};
  using Quantiles = std::array<double, kQuantiles>;
  Band();
  /// `wider`: added to the first quantiles, log.
  explicit Band(const std::array<float, kQuantiles>& wider);
  /// An error of a forecast with this expected deviation > 0. `hurry`: of the steps' length; less where errors are judged of forecasts that overlap.
  void learn(double error, double deviation, double hurry = 1);
  /// Logarithms of what an expected deviation is multiplied with for kInside of the errors to be below.
  [[nodiscard]] Quantiles quantiles() const { return {middle_ + from_middle_[0], middle_ + from_middle_[1], middle_ + from_middle_[2]}; }

 private:
  double middle_;
  std::array<float, kQuantiles> from_middle_;
  float learnt_ = 0;
};

/// Bands at three distances, each from forecasts of its own, of which several are under way at a time.
class Bands {
 public:
  static constexpr std::size_t kDistances = 3;
  static constexpr std::array<double, kDistances> kAhead = {1, 5, 20};  ///< reports
  Bands();
  struct Expected {
    double last = 0, change = 0, deviation = 0;  ///< the loss now, what it is to change by, and of that loss then
  };

  /// A report at step `at`: learns from the forecasts that were made for it.
  void learn(double at, double loss);
  /// A forecast at this distance is to be kept: at every report, or far ahead at every fourth.
  [[nodiscard]] bool wants(std::size_t distance, double reports) const;
  /// Made at step `at` after so many reports; a report is `unit` steps. REQUIRES: wants(distance, reports).
  void keep(std::size_t distance, double reports, double at, double unit, const Expected& expected);
  /// As Band::quantiles().
  [[nodiscard]] Band::Quantiles quantiles(std::size_t distance) const { return bands_[distance].quantiles(); }

 private:
  static constexpr std::size_t kWaitingMost = 5;  ///< forecasts under way at a distance; one at the nearest
  struct Waiting {
    double due = 0, last = 0;
    float ahead = 0, change = 0, deviation = 0;  ///< ahead: steps; 0: nothing waits here
    std::uint32_t made = 0;                      ///< after so many reports
  };
  [[nodiscard]] std::span<Waiting> waiting(std::size_t distance) {
    return distance == 0 ? std::span(waiting_).first(1) : std::span(waiting_).subspan(1 + (distance - 1) * kWaitingMost, kWaitingMost);
  }
  [[nodiscard]] std::span<const Waiting> waiting(std::size_t distance) const { return const_cast<Bands*>(this)->waiting(distance); }
  std::array<Band, kDistances> bands_;
  std::array<Waiting, 1 + (kDistances - 1) * kWaitingMost> waiting_;
};

}  // namespace sluice::manager
