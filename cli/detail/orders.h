#pragma once
/// Orders to a running manager: cancel, pause, resume, set.

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/detail/client.h"
#include "cli/detail/manager_flags.h"

namespace sluice::cli::detail {

/// Gives the order and prints what came of it, a line a job ("mlp-3: paused") or the manager's answer. Returns the process's exit status. Main thread.
[[nodiscard]] int order(const ManagerFlags& manager, const std::string& verb, const Json& arguments, bool json);

/// {"weight=2", "slots.min=1"} → {"weight": 2, "slots.min": 1}; what is not a number stays text, so that the manager says what it should have been. Errors:
/// kBadConfig (no '=', a key given twice), all that is wrong, one a line.
[[nodiscard]] Result<Json> values_from(const std::vector<std::string>& settings);

}  // namespace sluice::cli::detail
