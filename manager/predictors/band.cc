#include "manager/predictors/band.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {
namespace {

constexpr double kMiddleRate = 0.303;                                                        ///< of the middle, a judged forecast
constexpr double kFirstRate = 0.235;                                                         ///< forecasts that the first middle weighs
constexpr double kUsual = -0.559;                                                            ///< log: where the middle settles
constexpr double kFarthest = 6;                                                              ///< log: errors count as at most so far from the middle
constexpr double kQuantileRate = 0.4;                                                        ///< of the quantiles, a judged forecast
constexpr double kFirstQuantileRate = 0.237;                                                 ///< of the first ones
constexpr double kFirstMiddle = 0.877;                                                       ///< log
constexpr std::array<double, Band::kQuantiles> kFirstQuantiles = {-0.759, -0.00944, 0.959};  ///< log, from the middle

}  // namespace

Band::Band() : middle_(kFirstMiddle), from_middle_(kFirstQuantiles) {}

void Band::learn(double error, double deviation, double judged) {
  const double off = std::clamp(std::log(std::max(std::abs(error) / deviation, 1e-9)) - middle_, -kFarthest, kFarthest);
  middle_ = std::clamp(middle_ + std::max(kMiddleRate, kFirstRate / (judged + kFirstRate + 1)) * (off - kUsual), -12.0, 5.0);
  const double rate = std::max(kQuantileRate, kFirstQuantileRate / (judged + 3));
  for (std::size_t i = 0; i < kQuantiles; ++i) from_middle_[i] += rate * ((off > from_middle_[i] ? 1 : 0) - (1 - kInside[i]));
  from_middle_[1] = std::max(from_middle_[1], from_middle_[0] + 0.1);
  from_middle_[2] = std::max(from_middle_[2], from_middle_[1] + 0.05);
}

}  // namespace sluice::manager
