#include "proto/detail/saved_json.h"

#include <algorithm>

namespace sluice::proto::detail {
namespace {
using nlohmann::json;

json table_json(const TableSpec& table) {
  return {{"id", table.id.value}, {"name", table.name},       {"sparse", table.kind == TableKind::kSparse}, {"rows", table.rows},
          {"cols", table.cols},   {"buckets", table.buckets}, {"init", static_cast<int>(table.init.kind)},  {"scale", table.init.scale},
          {"seed", table.seed}};
}
/// Throws json::exception.
TableSpec table_of(const json& from) {
  TableSpec to;
  to.id = TableId{from.at("id").get<decltype(to.id.value)>()};
  to.name = from.at("name").get<std::string>();
  to.kind = from.at("sparse").get<bool>() ? TableKind::kSparse : TableKind::kDense;
  to.rows = from.at("rows").get<std::uint64_t>();
  to.cols = from.at("cols").get<std::uint32_t>();
  to.buckets = from.at("buckets").get<std::uint32_t>();
  const int init = from.at("init").get<int>();
  to.init = {init == 1 ? InitKind::kUniform : init == 2 ? InitKind::kNormal : InitKind::kZero, from.at("scale").get<float>()};
  to.seed = from.at("seed").get<std::uint64_t>();
  return to;
}
/// A peer's text: what is no object, or too deep, says nothing.
json data_of(const SavedJob& job) {
  if (too_deep(job.data, 8)) return json::object();
  json data = json::parse(job.data, nullptr, /*allow_exceptions=*/false);
  return data.is_object() ? data : json::object();
}
}  // namespace

bool too_deep(const std::string& text, int deepest) {
  int depth = 0, most = 0;
  for (const char c : text) {
    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;  // those in strings count too
    most = std::max(most, depth);
  }
  return most > deepest;
}

json to_json(std::span<const TableSpec> tables) {
  json out = json::array();
  for (const auto& table : tables) out.push_back(table_json(table));
  return out;
}
json to_json(const SavedJob& job) {
  return {{"id", job.id.value}, {"spec", json::parse(proto::to_json(job.spec))}, {"data", data_of(job)}, {"step", job.step}, {"servers", job.servers}};
}

Result<SavedJob> job_of(const json& from) {
  auto spec = job_spec_from_older_json(from.at("spec").dump());
  if (!spec) return fail(Errc::kBadData, spec.error().what);
  return SavedJob{JobId{from.at("id").get<std::uint64_t>()}, std::move(*spec), from.at("data").dump(), from.at("step").get<std::uint64_t>(),
                  from.value("servers", std::vector<std::string>{})};
}
Result<std::vector<TableSpec>> tables_of(const std::string& text) {
  std::vector<TableSpec> out;
  for (const json& entry : json::parse(text)) {
    out.push_back(table_of(entry));
    if (const auto ok = validate(out.back()); !ok) return fail(Errc::kBadData, ok.error().what);
    if (out.back().id.value + 1 != out.size()) return fail(Errc::kBadData, "its tables are not in order");
  }
  return out;
}

}  // namespace sluice::proto::detail
