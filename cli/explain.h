#pragma once
/// Why each job has what it has, from the decision log: of a running manager (its `explain` answer has the same form) or of an output folder.

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace sluice::cli {

/// Reads decisions.jsonl and summary.json of an output folder: {"version":1,"jobs":[{"job","state","reason","decisions":[entries, oldest first]}]}. job empty:
/// all. Errors: kNotFound (no such folder or job, with the nearest name), kBadData.
[[nodiscard]] Result<nlohmann::json> explain_offline(const std::string& folder, const std::string& job);

/// For people: per job its state and then a line for each change with time, slots, reason and evidence.
[[nodiscard]] std::string explain_text(const nlohmann::json& document);

/// Of an answer with "prior": a line a model, its remaining normalised loss at some shares of the steps, and how long its jobs are. Bad parts are left out.
[[nodiscard]] std::string prior_text(const nlohmann::json& document);

}  // namespace sluice::cli
