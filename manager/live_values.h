#pragma once
/// What of a job can change while it lives: what only the manager's rounds read. All else is with servers and workers from the first batch on.
/// on.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "base/result.h"

namespace sluice::manager {

struct LiveValues {
  double weight = 1;  ///< in the policies, > 0
  std::uint32_t slots_min = 0;
  std::uint32_t slots_max = 1024;
  friend bool operator==(const LiveValues&, const LiveValues&) = default;
};

/// `now` with `changes` ({"weight": number, "slots.min": number, "slots.max": number}, any of them), in the bounds that a run file has. All or none. Errors:
/// kBadConfig with all that is wrong, one a line: a key that cannot change (says which can), a wrong type, a value out of range, a minimum above the maximum.
[[nodiscard]] Result<LiveValues> with_changes(LiveValues now, const nlohmann::json& changes);

}  // namespace sluice::manager
