#pragma once
/// What a decision is in a "round" line of decisions.jsonl (docs/calls.md): written when it is made, and again when a recorded run is replayed.

#include <functional>
#include <nlohmann/json.hpp>

#include "manager/policy.h"

namespace sluice::manager {

/// A job's name, or null.
using NameOf = std::function<nlohmann::json(JobId)>;

/// Puts what the policy said of the job into its entry of "changes": share, index, forecasts, reason and sentence.
void put_decision(nlohmann::json& entry, const JobDecision& decision);
/// The line's "refused".
[[nodiscard]] nlohmann::json refused_json(const Decision& decision, const NameOf& name);
/// "refused" of an entry whose job gained slots: the first of those who were next in line, without a sentence.
[[nodiscard]] nlohmann::json refused_beside(JobId job, const Decision& decision, const NameOf& name);

}  // namespace sluice::manager
