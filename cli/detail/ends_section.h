#pragma once
/// What of a job in the run file says when training is over, and whose sweep it is: stop, target, group, objective.

#include <functional>
#include <string>

#include "base/config.h"
#include "base/result.h"
#include "proto/job_spec.h"

namespace sluice::cli::detail {

/// Whether the job can be scored by a metric.
using CheckMetric = std::function<Result<void>(const std::string& metric)>;

/// "3epochs", "1epoch", "500steps": the number, where the unit is `unit`. Nothing: another unit, 0, or more than `most`.
[[nodiscard]] std::optional<std::uint64_t> to_count_of(const std::string& text, const std::string& unit, std::uint64_t most);
inline constexpr std::uint64_t kEpochsMax = 1'000'000;

/// REQUIRES: job.data and job.validation were read.
void read_stop(const config::Node& node, config::Problems& problems, proto::JobSpec& job);
/// A target on a metric also makes it the metric that is scored. REQUIRES: as read_stop().
void read_target(const config::Node& node, const CheckMetric& check, config::Problems& problems, proto::JobSpec& job);
/// `sweep`: the name in the file of a job that was spread out; empty: of one that was not. `objective` alone makes a sweep a group of its own name.
void read_group(config::MapReader& reader, const std::string& sweep, config::Problems& problems, proto::JobSpec& job);

}  // namespace sluice::cli::detail
