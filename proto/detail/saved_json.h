#pragma once
/// What saved models and checkpoints say in JSON: tables, jobs.

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "proto/saved_model.h"

namespace sluice::proto::detail {

/// So deep that the library's recursion over it could end the process: texts of ours have few levels.
[[nodiscard]] bool too_deep(const std::string& text, int deepest);
[[nodiscard]] nlohmann::json to_json(std::span<const TableSpec> tables);
/// Checked as a peer's are: the optimizer, which is not saved, is any. Throws nlohmann::json::exception.
[[nodiscard]] Result<std::vector<TableSpec>> tables_of(const std::string& text);
[[nodiscard]] nlohmann::json to_json(const SavedJob& job);
/// Throws nlohmann::json::exception.
[[nodiscard]] Result<SavedJob> job_of(const nlohmann::json& from);

/// `body`, with what is wrong with the file's JSON as an error that names it.
template <class F>
auto named(const std::string& path, F body) -> decltype(body()) {
  try {
    auto out = body();
    if (!out) return fail(out.error().code, fmt::format("{}: {}", path, out.error().what));
    return out;
  } catch (const nlohmann::json::exception& e) { return fail(Errc::kBadData, fmt::format("{}: {}", path, e.what())); } catch (const std::out_of_range&) {
    return fail(Errc::kBadData, fmt::format("{}: its metadata is not whole", path));
  }
}

}  // namespace sluice::proto::detail
