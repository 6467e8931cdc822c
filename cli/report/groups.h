#pragma once
/// A run's groups for its page: each group's best loss over time, and whose it was. Pure.

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/compare.h"

namespace sluice::cli::report {

/// [{"group","members","first","best","seconds_to_90","seconds_to_95","loss_seconds","t":[…],"q":[…],"leader":[place…]}], by name; empty where the run has no
/// groups. t: seconds since the first job's submission, wherever the best smoothed loss of any member so far falls; q: what is then left of the group's
/// improvement, (that loss − best) / (first − best), 1 where nothing improved; leader: the member that has it, as `place_of` has its name. Times are from the
/// first member's submission and null where they were not reached; loss-seconds go to the run's end. first and best: as `common` has them by group (of all runs
/// of a comparison), else the run's own; what is not known is null. At most `points_max` points a group, at least 12.
[[nodiscard]] nlohmann::json groups_of(const RunRecord& run, const std::function<std::uint32_t(const std::string&)>& place_of,
                                       const std::map<std::string, GroupComparison>& common, std::size_t points_max);

}  // namespace sluice::cli::report
