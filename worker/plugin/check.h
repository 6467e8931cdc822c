#pragma once
/// `sluice model check`: whether a plug-in keeps what worker/model.h asks of a model, tried on made-up rows. Runs inside a slot process.

#include <string>

#include "worker/plugin/library.h"

namespace sluice::worker::plugin {

/// A JSON object: ok, cases (for each kind of data that the model accepts: data, checks [{name, ok, words}], examples_per_s), refused (the words of those
/// that it doesn't). params: the model's, a JSON object.
[[nodiscard]] std::string check_library(const Library& library, const std::string& params);

/// The rows that its speed is measured on, so that others can measure it on the same: dense ones of 64 features.
inline constexpr std::uint32_t kSpeedRows = 128;
inline constexpr std::uint64_t kSpeedFeatures = 64;

}  // namespace sluice::worker::plugin
