#include "server/detail/ends.h"

#include <fmt/format.h>

namespace sluice::server {

double smoothed_loss(std::span<const LossPoint> curve) {
  double out = curve.empty() ? 0 : curve.front().loss;
  for (const LossPoint& p : curve) out += 0.5 * (p.loss - out);
  return out;
}

std::string reached_words(const proto::TargetSpec& target, double value, std::uint64_t step) {
  if (!proto::reached(target, value)) return {};
  return fmt::format("target reached: {}: {:.6g} after {} steps", proto::to_text(target), value, step);
}

}  // namespace sluice::server
