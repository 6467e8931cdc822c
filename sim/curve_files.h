#pragma once
/// Loss curves out of files: what simulated jobs go along.

#include <string>
#include <vector>

#include "base/result.h"
#include "sim/curve.h"

namespace sluice::sim {

struct NamedCurve {
  std::string name;
  std::string family;  ///< curves of one family look alike: what a prior is learnt by
  std::string group;   ///< curves whose losses can be compared: what sweep groups are drawn from
  Curve curve;
};

struct CurveSet {
  std::vector<NamedCurve> curves;  ///< in the order of the paths, then of the files
  std::size_t left_out = 0;        ///< runs with fewer than two points
};

/// Each path is one of
///   FILE.txt            one loss a line, one step a line
///   FILE.csv[.gz]       a header; the columns loss or validation_loss, and perhaps step, run (one curve a run), family and group. A run's family and group
///                       are, where there is no such column, the part of its name before the first '/', and the file's name
///   a run's folder      each job's curve in its losses.csv
///   another folder      the .txt, .csv and .csv.gz files in it, by name
/// A curve's steps count from its first one. Errors: kNotFound, kBadData naming file and line (not a finite number, steps that don't increase), kBadConfig (a
/// file of another kind, a folder without any, no curve at all).
[[nodiscard]] Result<CurveSet> read_curves(const std::vector<std::string>& paths);

}  // namespace sluice::sim
