#include "cli/report/thin.h"

#include <algorithm>
#include <cmath>

namespace sluice::cli::report {
namespace {
Point mean(std::span<const Point> points) {
  Point out;
  for (const Point& p : points) out.x += p.x, out.y += p.y;
  const auto count = static_cast<double>(std::max<std::size_t>(1, points.size()));
  return {out.x / count, out.y / count};
}

/// Adds what `now` slots from `from` to `to` are to the means over columns `width` long.
void add_means(Bands& bands, const std::vector<double>& now, double from, double to, double width) {
  const double columns = static_cast<double>(bands.t.size());
  for (double column = std::max(0.0, std::floor(from / width)); column < columns && column * width < to; ++column) {
    const double share = (std::min(to, (column + 1) * width) - std::max(from, column * width)) / width;
    if (share <= 0) continue;
    for (std::size_t b = 0; b < now.size(); ++b) bands.n[b][static_cast<std::size_t>(column)] += now[b] * share;
  }
}
}  // namespace

std::vector<Point> thin_curve(std::span<const Point> points, std::size_t count_max) {
  if (points.size() <= count_max || count_max < 3) return {points.begin(), points.end()};
  const std::size_t buckets = count_max - 2;
  const double each = static_cast<double>(points.size() - 2) / static_cast<double>(buckets);
  const auto begin_of = [&](std::size_t bucket) { return 1 + static_cast<std::size_t>(each * static_cast<double>(bucket)); };
  std::vector<Point> out{points.front()};
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    const std::size_t begin = begin_of(bucket), end = bucket + 1 == buckets ? points.size() - 1 : begin_of(bucket + 1);
    const std::size_t next_end = bucket + 2 >= buckets ? points.size() : begin_of(bucket + 2);
    const Point ahead = mean(points.subspan(end, next_end - end));
    const Point before = out.back();
    std::size_t best = begin;
    double largest = -1;
    for (std::size_t i = begin; i < end; ++i) {
      const double area = std::abs((before.x - ahead.x) * (points[i].y - before.y) - (before.x - points[i].x) * (ahead.y - before.y));
      if (area > largest) largest = area, best = i;
    }
    out.push_back(points[best]);
  }
  out.push_back(points.back());
  return out;
}

Bands slot_bands(std::span<const SlotEvent> events, std::span<const std::uint32_t> band_of, std::size_t bands, double end, std::size_t count_max) {
  std::size_t times = 1;
  for (std::size_t i = 1; i < events.size(); ++i) times += events[i].seconds > events[i - 1].seconds ? 1 : 0;
  Bands out;
  out.n.resize(bands);
  out.exact = times <= count_max || end <= 0;
  const double width = end / static_cast<double>(count_max);
  if (!out.exact) {
    for (std::size_t i = 0; i < count_max; ++i) out.t.push_back(static_cast<double>(i) * width);
    for (auto& row : out.n) row.resize(count_max);
  }
  std::vector<double> now(bands);
  const auto count = [&](std::uint32_t job, double by) {
    if (job < band_of.size() && band_of[job] < bands) now[band_of[job]] += by;
  };
  for (std::size_t i = 0; i < events.size();) {
    const double at = events[i].seconds;
    for (; i < events.size() && events[i].seconds <= at; ++i) {
      count(events[i].from, -1);
      count(events[i].to, 1);
    }
    if (out.exact) {
      out.t.push_back(at);
      for (std::size_t b = 0; b < bands; ++b) out.n[b].push_back(now[b]);
    } else {
      add_means(out, now, at, i < events.size() ? events[i].seconds : end, width);
    }
  }
  return out;
}

}  // namespace sluice::cli::report
