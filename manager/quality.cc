#include "manager/quality.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {

namespace {
constexpr double kUsualPart = 0.05;  ///< of a smaller report in what is usual, which goes down by factors: a job that lost most of its slots has small ones
}  // namespace

void SmoothLoss::add(double loss, double examples) {
  const double w = std::max(1.0, examples), usual = usual_ > 0 ? usual_ : w, part = begun_ ? w / (w + usual) : 1;
  loss_ = begun_ ? loss_ + part * (loss - loss_) : loss;
  usual_ = w > usual ? usual + part * (w - usual) : usual * std::pow(w / usual, kUsualPart);
  begun_ = true;
}

namespace {
/// Examples of the report that made point i. Of a first point that does not say, which may be of a job that was begun elsewhere, no more than of the second.
double weight_of(std::span<const LossPoint> points, std::size_t i) {
  if (points[i].weight > 0) return static_cast<double>(points[i].weight);
  if (i == 0 && points.size() > 1) return std::min(weight_of(points, 1), std::max(1.0, static_cast<double>(points[0].examples)));
  const std::uint64_t before = i == 0 ? 0 : points[i - 1].examples;
  return std::max(1.0, static_cast<double>(points[i].examples) - static_cast<double>(before));
}
}  // namespace

std::vector<double> smoothed(std::span<const LossPoint> points) {
  std::vector<double> out;
  out.reserve(points.size());
  SmoothLoss smooth;
  for (std::size_t i = 0; i < points.size(); ++i) {
    smooth.add(points[i].loss, weight_of(points, i));
    out.push_back(smooth.loss());
  }
  return out;
}

double final_level(std::span<const LossPoint> points) {
  if (points.empty()) return 0;
  const double tenth = static_cast<double>(points.back().examples) / 10;
  double sum = 0, weights = 0;
  for (std::size_t i = points.size(); i-- > 0 && (weights == 0 || weights < tenth);) {
    const double weight = weight_of(points, i);
    sum += weight * points[i].loss, weights += weight;
  }
  return sum / weights;
}

double best_level(std::span<const LossPoint> points) {
  const auto weight = [&](std::size_t i) { return weight_of(points, i); };
  const std::size_t window = std::min(kBestReports, points.size());
  double best = 0;
  for (std::size_t end = window; end <= points.size() && window > 0; ++end) {
    double sum = 0, weights = 0;  // anew for each: what a running sum takes back of a huge loss would not be what it added
    for (std::size_t i = end - window; i < end; ++i) sum += weight(i) * points[i].loss, weights += weight(i);
    if (end == window || sum / weights < best) best = sum / weights;
  }
  return best;
}

std::vector<Level> levels_of(std::span<const LossPoint> points) {
  std::vector<Level> out;
  out.reserve(points.size());
  for (const double loss : smoothed(points)) out.push_back({points[out.size()].seconds, loss});
  return out;
}

std::vector<Level> best_of(std::span<const GroupMember> members) {
  std::vector<Level> all;
  for (const GroupMember& member : members)
    for (const Level& level : levels_of(member.points))
      if (std::isfinite(level.loss)) all.push_back({member.since + level.seconds, level.loss});
  std::stable_sort(all.begin(), all.end(), [](const Level& a, const Level& b) { return a.seconds < b.seconds; });
  std::vector<Level> out;
  for (const Level& level : all)
    if (out.empty() || level.loss < out.back().loss) out.push_back(level);
  return out;
}

std::optional<double> seconds_to_fraction(std::span<const Level> levels, double first, double best, double fraction) {
  if (!(best < first)) return std::nullopt;
  const double goal = first - fraction * (first - best);
  for (const Level& level : levels)
    if (level.loss <= goal) return level.seconds;
  return std::nullopt;
}

std::optional<double> seconds_to_fraction(std::span<const LossPoint> points, double first, double best, double fraction) {
  return seconds_to_fraction(levels_of(points), first, best, fraction);
}

double expected_fall(std::span<const LossPoint> points, double steps) { return ExpectedFall(points).after(steps); }

ExpectedFall::ExpectedFall(std::span<const LossPoint> points) {
  if (points.size() < 3) return;
  const auto step_of = [&](std::size_t i) { return static_cast<double>(points[i].step); };
  now = step_of(points.size() - 1);
  std::size_t first = points.size() - 2;  // of the newest reports that reach back to half of the steps; two or more
  while (first > 1 && step_of(first - 1) > now / 2) --first;
  const double middle = (step_of(first - 1) + now) / 2;
  struct Half {
    double weight = 0, loss = 0, at = 0;
  } older, newer;
  for (std::size_t i = first; i < points.size(); ++i) {
    const double at = (step_of(i - 1) + step_of(i)) / 2;
    Half& half = i + 1 == points.size() || (i > first && at > middle) ? newer : older;
    const double weight = static_cast<double>(std::max<std::uint64_t>(points[i].weight, 1));
    half.weight += weight;
    half.loss += weight * points[i].loss;
    half.at += weight * at;
  }
  const double a = older.at / older.weight, b = newer.at / newer.weight;
  const double slope = std::max(0.0, older.loss / older.weight - newer.loss / newer.weight) / (b - a);
  scale = slope * a * b;  // 1/a − 1/b = (b − a)/(ab)
}

double loss_seconds(std::span<const Level> levels, double first, double best, double until) {
  double sum = 0, q = 1, since = 0;
  for (const Level& level : levels) {
    if (!(level.seconds < until)) break;
    sum += q * std::max(0.0, level.seconds - since);
    since = std::max(since, level.seconds);
    q = best < first ? std::clamp((level.loss - best) / (first - best), 0.0, 1.0) : 1;
  }
  return sum + q * std::max(0.0, until - since);
}

double loss_seconds(std::span<const LossPoint> points, double first, double best, double until) { return loss_seconds(levels_of(points), first, best, until); }

}  // namespace sluice::manager
