#pragma once
/// A job's best level, time to 90 % and loss-seconds, told from every report as manager/quality.h tells them from all points, in bounded memory. A thinned
/// curve's points stand for so long that they tell other ones. One thread.

#include <cstddef>
#include <optional>
#include <vector>

#include "manager/quality.h"

namespace sluice::manager {

class RunningQuality {
 public:
  /// A report: its loss over `examples`, and what the job's smoothed loss came to with it. Seconds do not fall.
  void add(double seconds, double loss, double examples, double smoothed);

  /// best_level() of all reports.
  [[nodiscard]] double best() const;
  /// seconds_to_fraction() of 0.9, with the first loss and best(). Where more than kLevelsMax falls could be it yet, as of a fraction that is larger by up to
  /// a 64th of what is between 90 % and the lowest level.
  [[nodiscard]] std::optional<double> seconds_to_90() const;
  /// loss_seconds() with the same; levels within a 32nd of the range of best() count in the mean. REQUIRES: no report after `until`.
  [[nodiscard]] double loss_seconds(double until) const;

 private:
  static constexpr std::size_t kLevelsMax = 128, kBins = 64;
  struct Report {
    double loss = 0, weight = 0;
  };
  /// How long the level was how far below the first one, within a stretch of levels.
  struct Bin {
    double seconds = 0, fall = 0;  ///< fall: × seconds
  };
  void hold(double seconds);
  void thin();
  [[nodiscard]] double mean_of_newest() const;
  [[nodiscard]] double goal() const { return first_ - 0.9 * (first_ - best()); }

  std::size_t reports_ = 0;
  double first_ = 0, best_ = 0, lowest_ = 0;
  std::vector<Report> newest_;                ///< kBestReports of them, in turn
  std::vector<Level> levels_;                 ///< wherever it fell below all before, and may be 90 % yet
  double since_ = 0, level_ = 0, above_ = 0;  ///< above_: seconds with the first level, or a higher one
  double width_ = 0;                          ///< of a bin
  std::vector<Bin> bins_;
};

}  // namespace sluice::manager
