#pragma once
/// summary.json for people: the table at the end of a run, and the exit status that it means.

#include <string>

#include "base/result.h"
#include "cli/detail/client.h"

namespace sluice::cli::detail {

/// Reads a JSON object from a file of at most 64 MiB. Errors: kNotFound, kBadData.
[[nodiscard]] Result<Json> read_json(const std::string& path);
/// job, state, first and final loss, held-out metric, time to 90 %, slot-seconds, moves; then why jobs failed.
[[nodiscard]] std::string summary_table(const Json& summary);
/// Held-out metric of a job in words ("87.3 %", "0.0102 mse"), or "-".
[[nodiscard]] std::string metric_text(const Json& job);
/// Ok if all jobs are done; else kBadData if bad data alone was the cause, kJobFailed, or kPartlyDone if some were not over or
/// were cancelled.
[[nodiscard]] Result<void> verdict(const Json& summary);

}  // namespace sluice::cli::detail
