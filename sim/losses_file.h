#pragma once
/// The only reader of losses.csv, which a manager writes (manager/detail/loss_log.h): for comparing and simulating recorded runs.

#include <cstddef>
#include <functional>
#include <string>

#include "base/loss_curve.h"
#include "base/result.h"

namespace sluice::sim {

/// A report.
struct LossRow {
  std::string job;
  LossPoint point;  ///< seconds since the job's submission; spread and weight are not in the file
  double slots = 0;
  std::size_t line = 0;  ///< in the file, from 1
};
/// Hands each row over, in the file's order, up to the first bad one: a run that goes on may be writing the last. Errors: kNotFound; kBadData naming file and
/// line (another header, not a row of six cells, a count that is none); what `take` says.
[[nodiscard]] Result<void> read_losses(const std::string& path, const std::function<Result<void>(LossRow)>& take);

}  // namespace sluice::sim
