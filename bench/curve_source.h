#pragma once
/// Loss curves to judge predictors on: read from files, or made from formulas.

#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::bench {

struct LossSeries {
  std::string family;  ///< curves of one family look alike; errors are averaged by family
  std::string name;
  std::vector<double> steps, losses;
  double total_steps = 0;  ///< declared; 0: not
};

/// FILE.txt: one loss a line, one step a line, its own family. FILE.csv or .csv.gz with a header: the columns loss or validation_loss, perhaps run, job, step
/// and total_steps; a run's family is the part of its name before the first '/', a job's its name. A folder: the files of these kinds in it, by name.
/// Errors: kNotFound, kBadData naming file and line.
[[nodiscard]] Result<std::vector<LossSeries>> read_series(const std::vector<std::string>& paths);

/// Made from formulas, the same for the same seed: powers of the step, exponentials, the two forms that SLAQ fits, learning rates that fall in steps (plateaus,
/// each with a later drop), cosine schedules, cool-downs after a constant rate (declared and not), losses that rise again, and ones that diverge.
[[nodiscard]] std::vector<LossSeries> made_series(std::uint64_t seed, std::size_t of_each);

}  // namespace sluice::bench
