#pragma once
/// ClusterView ↔ JSON, and the difference between two of them as a merge patch (RFC 7386): how the decision log records, line after line, enough to decide each
/// recorded round again.

#include <nlohmann/json_fwd.hpp>

#include "base/result.h"
#include "manager/cluster_view.h"

namespace sluice::manager {

/// Numbers round-trip exactly. Jobs and hosts are keyed by id; no value is null.
[[nodiscard]] nlohmann::json to_json(const ClusterView& view);
/// Errors: kMalformed naming what is missing. Any content.
[[nodiscard]] Result<ClusterView> view_from_json(const nlohmann::json& json);
/// The merge patch that turns to_json(before) into to_json(after); apply it with nlohmann::json::merge_patch. REQUIRES: hosts and jobs by id.
[[nodiscard]] nlohmann::json patch_between(const ClusterView& before, const ClusterView& after);

}  // namespace sluice::manager
