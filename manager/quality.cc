#include "manager/quality.h"

#include <algorithm>

namespace sluice::manager {

std::vector<double> smoothed(std::span<const LossPoint> points) {
  std::vector<double> out;
  out.reserve(points.size());
  for (const LossPoint& p : points) out.push_back(out.empty() ? p.loss : smooth(out.back(), p.loss));
  return out;
}

double best_level(std::span<const LossPoint> points) {
  const auto weight = [&](std::size_t i) {
    const std::uint64_t before = i == 0 ? 0 : points[i - 1].examples;
    return std::max(1.0, static_cast<double>(points[i].examples) - static_cast<double>(before));
  };
  const std::size_t window = std::min(kBestReports, points.size());
  double best = 0;
  for (std::size_t end = window; end <= points.size() && window > 0; ++end) {
    double sum = 0, weights = 0;  // anew for each: what a running sum takes back of a huge loss would not be what it added
    for (std::size_t i = end - window; i < end; ++i) sum += weight(i) * points[i].loss, weights += weight(i);
    if (end == window || sum / weights < best) best = sum / weights;
  }
  return best;
}

std::optional<double> seconds_to_fraction(std::span<const LossPoint> points, double first, double best, double fraction) {
  if (!(best < first)) return std::nullopt;
  const std::vector<double> levels = smoothed(points);
  const double goal = first - fraction * (first - best);
  for (std::size_t i = 0; i < levels.size(); ++i)
    if (levels[i] <= goal) return points[i].seconds;
  return std::nullopt;
}

double loss_seconds(std::span<const LossPoint> points, double first, double best, double until) {
  const std::vector<double> levels = smoothed(points);
  double sum = 0, q = 1, since = 0;
  for (std::size_t i = 0; i < levels.size() && points[i].seconds < until; ++i) {
    sum += q * std::max(0.0, points[i].seconds - since);
    since = std::max(since, points[i].seconds);
    q = best < first ? std::clamp((levels[i] - best) / (first - best), 0.0, 1.0) : 1;
  }
  return sum + q * std::max(0.0, until - since);
}

}  // namespace sluice::manager
