#include "manager/live_values.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/text.h"

namespace sluice::manager {
namespace {

constexpr std::uint32_t kSlotsMost = 1024;

std::string shown(const nlohmann::json& value) { return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace); }

std::string slots_mistake(const std::string& key, const nlohmann::json& value, std::uint32_t least, std::uint32_t& out) {
  if (value.is_number_integer() && value >= least && value <= kSlotsMost) {
    out = value.get<std::uint32_t>();
    return {};
  }
  return fmt::format("{} must be a whole number from {} to {}, not {}", key, least, kSlotsMost, shown(value));
}

std::string weight_mistake(const nlohmann::json& value, double& out) {
  if (value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() > 0) {
    out = value.get<double>();
    return {};
  }
  return fmt::format("weight must be a number above 0, not {}", shown(value));
}

std::string not_live(const std::string& key) {
  const auto nearest = text::nearest(key, {"slots.max", "slots.min", "weight"});
  return fmt::format("'{}' cannot be changed while a job lives{}; what can: slots.max, slots.min, weight", key,
                     nearest ? fmt::format("; did you mean '{}'?", *nearest) : "");
}

}  // namespace

Result<LiveValues> with_changes(LiveValues now, const nlohmann::json& changes) {
  if (!changes.is_object() || changes.empty()) return fail(Errc::kBadConfig, "nothing to change: give slots.max, slots.min or weight a value, e.g. weight=2");
  std::string mistakes;
  const auto add = [&](const std::string& mistake) {
    if (!mistake.empty()) mistakes += (mistakes.empty() ? "" : "\n") + mistake;
  };
  for (const auto& [key, value] : changes.items()) {
    if (key == "weight")
      add(weight_mistake(value, now.weight));
    else if (key == "slots.min")
      add(slots_mistake(key, value, 0, now.slots_min));
    else if (key == "slots.max")
      add(slots_mistake(key, value, 1, now.slots_max));
    else
      add(not_live(key));
  }
  if (mistakes.empty() && now.slots_min > now.slots_max)
    add(fmt::format("slots.min {} would be above slots.max {}; change both at once", now.slots_min, now.slots_max));
  if (!mistakes.empty()) return fail(Errc::kBadConfig, std::move(mistakes));
  return now;
}

}  // namespace sluice::manager
