#pragma once
/// What `sluice data` shows of a dataset: JSON, and the same for people.

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/job_spec.h"
#include "worker/data/dataset.h"

namespace sluice::cli {

/// The format that files' names tell (also .gz): csv, idx, libsvm or npy. Errors: kBadConfig, saying --format.
[[nodiscard]] Result<std::string> format_of(const std::vector<std::string>& files);

/// Rows, columns, sparsity, classes and how many rows each has or the targets' spread, a CSV file's columns, what was left out, where the cache is.
[[nodiscard]] nlohmann::json data_info(const proto::DataSpec& spec, const worker::OpenedData& data);
[[nodiscard]] std::string info_text(const nlohmann::json& info);

/// The first `count` rows: label and the features that are not zero, by name.
[[nodiscard]] nlohmann::json data_head(const worker::data::Rows& rows, std::uint64_t count);
[[nodiscard]] std::string head_text(const nlohmann::json& head);

}  // namespace sluice::cli
