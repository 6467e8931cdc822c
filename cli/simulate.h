#pragma once
/// What `sluice simulate` prints of a study: a table for people, JSON, CSV, a page. Pure but for the files.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "sim/study.h"

namespace sluice::cli {

/// {"version":1,"curves","results":[{"policy","seed","jobs","unfinished","loss_seconds_per_job","active_normalized_loss","seconds_to_90","seconds_to_95",
///  "seconds_to_99","loss_left","completion_mean","completion_p50","completion_p99","worst_slowdown","group_loss_seconds","moves_per_round","round_ms_p50",
///  "round_ms_p99","rounds","seconds"}…]}: one entry a policy and seed.
[[nodiscard]] std::string to_json(const sim::Study& study);
/// Means over the seeds, a line a policy; in brackets against the first policy.
[[nodiscard]] std::string to_text(const sim::Study& study);
/// The entries of to_json as lines under a header. Errors: kIo naming the file.
[[nodiscard]] Result<void> write_csv(const sim::Study& study, const std::string& path);

/// What became of each job: a line a policy, seed and job under a header. Seconds since its arrival; empty: never. Errors: kIo naming the file.
[[nodiscard]] Result<void> write_jobs_csv(const sim::Study& study, const std::string& path);

/// One self-contained page with plots (report/study_document.h), written whole or not at all; takes the place of an older page of ours only. Errors: kBadConfig
/// (`path` is no page of ours), kIo naming the file.
[[nodiscard]] Result<void> write_study_page(const sim::Study& study, const std::string& path);

/// What is measured, in the order of the columns.
[[nodiscard]] std::vector<std::string> measure_names();
/// Of one policy, by measure: means over the seeds.
[[nodiscard]] nlohmann::json means_of(const sim::Study& study, const std::string& policy);

}  // namespace sluice::cli
