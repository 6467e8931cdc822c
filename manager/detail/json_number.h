#pragma once
/// Numbers of answers: what is not known, or not finite, is null.

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace sluice::manager {

[[nodiscard]] inline nlohmann::json number_or_null(bool known, double value) {
  return known && std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}
[[nodiscard]] inline nlohmann::json number_or_null(const std::optional<double>& value) { return number_or_null(value.has_value(), value.value_or(0)); }

}  // namespace sluice::manager
