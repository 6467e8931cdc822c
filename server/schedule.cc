#include "server/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sluice::server {

Result<Schedule> Schedule::of(const proto::OptimizerSpec& spec) {
  const auto has = [&](const char* name) { return spec.numbers.contains(name); };
  const bool steps = has("schedule.steps"), every = has("schedule.every");
  if (steps && every) return fail(Errc::kBadConfig, "schedule.every and schedule.steps are two schedules; one is meant");
  if (has("schedule.factor") && !every) return fail(Errc::kBadConfig, "schedule.factor needs schedule.every");
  if (has("schedule.floor") && !steps) return fail(Errc::kBadConfig, "schedule.floor needs schedule.steps");
  Schedule out;
  out.warmup_ = spec.number("schedule.warmup", 0);
  out.every_ = spec.number("schedule.every", 0);
  out.factor_ = spec.number("schedule.factor", 0.1);
  out.cosine_ = steps;
  out.steps_ = spec.number("schedule.steps", 0);
  out.floor_ = spec.number("schedule.floor", 0);
  return out;
}

double Schedule::factor(std::uint32_t step) const {
  const double at = step;
  if (at < warmup_) return (at + 1) / std::ceil(warmup_);
  if (every_ > 0) return std::pow(factor_, std::floor((at - warmup_) / every_));
  if (!cosine_ || steps_ == 0) return 1;
  const double length = steps_ - warmup_, done = length > 0 ? std::min((at - warmup_) / length, 1.0) : 1;
  return floor_ + (1 - floor_) * (1 + std::cos(std::numbers::pi * done)) / 2;
}

}  // namespace sluice::server
