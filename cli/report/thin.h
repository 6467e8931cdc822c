#pragma once
/// Less of the same: what a page can show of many numbers. Pure.

#include <cstdint>
#include <span>
#include <vector>

#include "cli/report/digest.h"

namespace sluice::cli::report {

struct Point {
  double x = 0;
  double y = 0;
};
/// At most `count_max` (≥ 3) of the points, first and last among them: of each of equally full buckets in between the one that makes the largest triangle with
/// the one chosen before and the mean of the next bucket (Steinarsson, Downsampling Time Series for Visual Representation, 2013), so that peaks stay.
/// points: by x.
[[nodiscard]] std::vector<Point> thin_curve(std::span<const Point> points, std::size_t count_max);

/// Worker slots of each band over time: row b holds n[b][i] slots from t[i] to t[i + 1], the last ones until the end.
struct Bands {
  std::vector<double> t;
  std::vector<std::vector<double>> n;  ///< bands × t
  bool exact = true;                   ///< else means over equally long times
};
/// band_of[place of a job]: its band, of `bands`. events: by time. Where more than count_max times are left, the means over count_max equally long times from 0
/// to `end`.
[[nodiscard]] Bands slot_bands(std::span<const SlotEvent> events, std::span<const std::uint32_t> band_of, std::size_t bands, double end, std::size_t count_max);

}  // namespace sluice::cli::report
