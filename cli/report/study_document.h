#pragma once
/// The data behind a study's page: one JSON document, thinned. Pure.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sim/study.h"

namespace sluice::cli::report {

inline constexpr std::size_t kStudyTimes = 400;   ///< points over time, a policy
inline constexpr std::size_t kStudyShares = 300;  ///< points of a distribution

/// {"version":1,"jobs","slots","curves","seeds","scenario":{key: words},"measures":[name…],
///  "policies":[{"name","means":{measure: number},"loss_seconds":[of each seed],
///               "series":{"t","loss","active","price","moves","high","middle","low": [of the first seed]…},
///               "to_90","completion","prediction_errors":[by size, of the first seed]}]}
[[nodiscard]] nlohmann::json study_document(const sim::Study& study);

}  // namespace sluice::cli::report
