#pragma once
/// Sweep axes: a list where a single value is expected means one job for each of its values; several axes mean their product.

#include <cstddef>
#include <vector>

#include "base/config.h"

namespace sluice::cli::detail {

/// The variants of one job's node: its axes replaced by single values, in the order of the file, the last axis fastest. One variant (the node itself) without
/// axes. More than `variants_max`, or an empty axis, is a mistake at the axis; then no variants.
[[nodiscard]] std::vector<config::Node> spread(const config::Node& job, std::size_t variants_max, config::Problems& problems);

}  // namespace sluice::cli::detail
