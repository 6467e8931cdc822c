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

double recent_fall(std::span<const LossPoint> points, double steps) {
  if (points.size() > kFallReports) points = points.last(kFallReports);
  if (points.size() < 2) return 0;
  const auto age = [&](const LossPoint& p) { return static_cast<double>(points.back().step - p.step); };
  const double reach = std::max(age(points[points.size() - 2]), std::min(steps, age(points.front()) / 2));
  struct Half {
    double weight = 0, loss = 0, age = 0;
  } newer, older;
  for (std::size_t i = points.size(); i-- > 0;) {
    const LossPoint& p = points[i];
    const bool is_new = age(p) < reach;
    if (age(p) > 2 * reach && older.weight > 0) break;  // of a thinned curve at least one older point counts
    Half& half = is_new ? newer : older;
    const double weight = static_cast<double>(std::max<std::uint64_t>(p.weight, 1));
    half.weight += weight;
    half.loss += weight * p.loss;
    half.age += weight * age(p);
  }
  const double fall = older.loss / older.weight - newer.loss / newer.weight, apart = older.age / older.weight - newer.age / newer.weight;
  return std::max(0.0, fall) / apart * std::min(steps, reach);
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
