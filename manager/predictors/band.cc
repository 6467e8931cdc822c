#include "manager/predictors/band.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

constexpr double kMiddleRate = 0.303;                                                          ///< of the middle, a judged forecast
constexpr double kFirstRate = 0.235;                                                           ///< forecasts that the first middle weighs
constexpr double kUsual = -0.559;                                                              ///< log: where the middle settles
constexpr double kFarthest = 6;                                                                ///< log: errors count as at most so far from the middle
constexpr double kQuantileRate = 0.4;                                                          ///< of the quantiles, a judged forecast
constexpr double kFirstQuantileRate = 0.237;                                                   ///< of the first ones
constexpr double kFirstMiddle = 0.877;                                                         ///< log
constexpr std::array<float, Band::kQuantiles> kFirstQuantiles = {-0.759F, -0.00944F, 0.959F};  ///< log, from the middle

constexpr std::array<double, Bands::kDistances> kHurry = {1, 0.3, 0.5};
constexpr std::array<float, Band::kQuantiles> kFirstWiderFive = {0.1F, 0.3F, 0};  ///< five reports ahead
constexpr double kEarly = 0.01;                                                   ///< of a report: how much sooner it may come

}  // namespace

Band::Band() : middle_(kFirstMiddle), from_middle_(kFirstQuantiles) {}

Band::Band(const std::array<float, kQuantiles>& wider) : Band() {
  for (std::size_t q = 0; q < kQuantiles; ++q) from_middle_[q] += wider[q];
}

void Band::learn(double error, double deviation, double hurry) {
  const double off = std::clamp(std::log(std::max(std::abs(error) / deviation, 1e-9)) - middle_, -kFarthest, kFarthest);
  const double judged = learnt_;
  middle_ = std::clamp(middle_ + std::max(kMiddleRate * hurry, kFirstRate / (judged + kFirstRate + 1)) * (off - kUsual), -12.0, 5.0);
  const double rate = hurry * std::max(kQuantileRate, kFirstQuantileRate / (judged + 3));
  for (std::size_t i = 0; i < kQuantiles; ++i) from_middle_[i] += static_cast<float>(rate * ((off > from_middle_[i] ? 1 : 0) - (1 - kInside[i])));
  from_middle_[1] = std::max(from_middle_[1], from_middle_[0] + 0.1F);
  from_middle_[2] = std::max(from_middle_[2], from_middle_[1] + 0.05F);
  learnt_ += 1;
}

Bands::Bands() : bands_{Band(), Band(kFirstWiderFive), Band()} {}

void Bands::learn(double at, double loss) {
  for (std::size_t d = 0; d < kDistances; ++d)
    for (Waiting& w : waiting(d)) {
      if (w.ahead == 0 || at < w.due) continue;
      const double later = 1 + (at - w.due) / w.ahead - kEarly / kAhead[d];  // it is expected to have changed by that much more
      bands_[d].learn(loss - w.last - later * w.change, w.deviation, kHurry[d]);
      w.ahead = 0;
    }
}

bool Bands::wants(std::size_t distance, double reports) const {
  bool idle = false;
  for (const Waiting& w : waiting(distance)) {
    if (w.ahead > 0 && reports - w.made < kAhead[distance] / kWaitingMost) return false;
    idle = idle || w.ahead == 0;
  }
  return idle;
}

void Bands::keep(std::size_t distance, double reports, double at, double unit, const Expected& expected) {
  const auto all = waiting(distance);
  const auto idle = std::find_if(all.begin(), all.end(), [](const Waiting& w) { return w.ahead == 0; });
  *idle = {at + (kAhead[distance] - kEarly) * unit,     expected.last,
           static_cast<float>(kAhead[distance] * unit), static_cast<float>(expected.change),
           static_cast<float>(expected.deviation),      static_cast<std::uint32_t>(reports)};
}

}  // namespace sluice::manager
