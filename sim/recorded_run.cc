#include "sim/recorded_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "manager/quality.h"
#include "sim/table_file.h"

namespace sluice::sim {
namespace {

constexpr double kCountMax = 9'007'199'254'740'992;  ///< 2^53
constexpr double kLatest = 366.0 * 86'400;           ///< seconds

using Points = std::map<std::string, std::vector<LossPoint>>;

Result<nlohmann::json> read_object(const std::string& path) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("version", nlohmann::json()) != 1 || !json.contains("jobs") || !json["jobs"].is_array())
    return fail(Errc::kBadData, fmt::format("{}: not of a run of this version", path));
  return json;
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}
double number_of(const nlohmann::json& object, const char* key) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  return it != object.end() && it->is_number() ? it->get<double>() : 0;
}

Result<Points> read_points(const std::string& path) {
  const auto table = read_table(path);
  if (!table) return fail(table.error());
  const auto job = table->column("job"), step = table->column("step"), examples = table->column("examples"), loss = table->column("loss");
  if (!job || !step || !examples || !loss) return fail(Errc::kBadData, fmt::format("{}: not a losses.csv of this version", path));
  Points out;
  for (std::size_t row = 0; row < table->rows.size(); ++row) {
    const auto at = table->number(row, *step), rows = table->number(row, *examples), value = table->number(row, *loss);
    for (const auto* number : {&at, &rows, &value})
      if (!*number) return fail(number->error());
    auto& points = out[table->rows[row][*job]];
    const double before = points.empty() ? -1 : static_cast<double>(points.back().step);
    for (const double count : {*at, *rows})
      if (!(count >= 0 && count <= kCountMax && count == std::floor(count)))
        return fail(Errc::kBadData, fmt::format("{}:{}: {} is no count of steps or examples", path, table->lines[row], count));
    if (*at < before) return fail(Errc::kBadData, fmt::format("{}:{}: step {} does not come after the one before", path, table->lines[row], *at));
    if (*at == before) continue;  // said again
    LossPoint& point = points.emplace_back();
    point.step = static_cast<std::uint64_t>(*at), point.examples = static_cast<std::uint64_t>(*rows), point.loss = *value;
  }
  return out;
}

/// The first report is of the job's first step or steps: what it says is the loss at step 0.
Curve curve_of(const std::vector<LossPoint>& points) {
  const double best = manager::best_level(points);
  std::vector<double> losses, steps;
  for (const double level : manager::smoothed(points)) {
    steps.push_back(steps.empty() ? 0 : static_cast<double>(points[steps.size()].step));
    losses.push_back(std::max(best, level));
  }
  return Curve(std::move(losses), std::move(steps));
}

}  // namespace

Result<std::vector<SimJob>> read_run(const std::string& folder) {
  const auto plan = read_object(folder + "/run.json");
  if (!plan) return fail(plan.error());
  const auto summary = read_object(folder + "/summary.json");
  if (!summary) return fail(summary.error());
  const auto points = read_points(folder + "/losses.csv");
  if (!points) return fail(points.error());
  std::map<std::string, nlohmann::json> specs;
  for (const auto& spec : (*plan)["jobs"]) specs[text_of(spec, "name")] = spec;
  std::vector<SimJob> out;
  for (const auto& entry : (*summary)["jobs"]) {
    const std::string name = text_of(entry, "job");
    const auto reported = points->find(name);
    const double steps = number_of(entry, "steps"), slot_seconds = number_of(entry, "slot_seconds");
    if (reported == points->end() || !(steps >= 1) || !(slot_seconds > 0)) continue;
    const auto& spec = specs[name];
    SimJob job{name, curve_of(reported->second), steps, slot_seconds / steps};
    job.arrives = from_seconds(std::clamp(number_of(entry, "submitted_seconds"), 0.0, kLatest));
    job.group = text_of(spec, "group");
    job.best = text_of(spec, "objective") == "best";
    job.family = text_of(spec, "model");
    out.push_back(std::move(job));
  }
  if (out.empty()) return fail(Errc::kBadData, fmt::format("{}: no job of this run made a step", folder));
  return out;
}

}  // namespace sluice::sim
