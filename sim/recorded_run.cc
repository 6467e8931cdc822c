#include "sim/recorded_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "manager/quality.h"
#include "manager/rate_model.h"
#include "sim/losses_file.h"
#include "sim/table_file.h"

namespace sluice::sim {
namespace {

constexpr double kLatest = 366.0 * 86'400;  ///< seconds
constexpr double kStalenessMax = 1e6;       ///< steps

/// What a job said in the run.
struct Said {
  std::vector<LossPoint> points;
  std::vector<double> slots;                   ///< of each point, when it was reported
  [[nodiscard]] double with_several() const {  ///< reports with several slots
    return static_cast<double>(std::count_if(slots.begin(), slots.end(), [](double n) { return n > 1; }));
  }
};
using SaidByJob = std::map<std::string, Said>;

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

Result<SaidByJob> read_points(const std::string& path) {
  SaidByJob out;
  const auto read = read_losses(path, [&](const LossRow& row) -> Result<void> {
    Said& said = out[row.job];
    if (!said.points.empty() && row.point.step < said.points.back().step)
      return fail(Errc::kBadData, fmt::format("{}:{}: step {} does not come after the one before", path, row.line, row.point.step));
    if (!said.points.empty() && row.point.step == said.points.back().step) return {};  // said again
    said.points.push_back(row.point);
    said.slots.push_back(row.slots);
    return {};
  });
  if (!read) return fail(read.error());
  return out;
}

/// The first report is of the job's first step or steps: what it says is the loss at step 0. Steps with several slots count as far as they were fresh.
Curve curve_of(const Said& said, const Staleness& stale) {
  const double best = manager::best_level(said.points);
  std::vector<double> losses, steps;
  for (const double level : manager::smoothed(said.points)) {
    const std::size_t i = steps.size();
    const double done = i == 0 ? 0 : static_cast<double>(said.points[i].step - (i == 1 ? 0 : said.points[i - 1].step));
    const double fresh = 1 / (1 + stale.penalty * stale.per_slot * std::max(0.0, said.slots[i] - 1));
    steps.push_back(i == 0 ? 0 : steps.back() + done * fresh);
    losses.push_back(std::max(best, level));
  }
  return Curve(std::move(losses), std::move(steps));
}

/// Nothing is stale between slots that end each step together.
bool in_step(const nlohmann::json& spec) {
  const auto it = spec.is_object() ? spec.find("consistency") : spec.end();
  return it != spec.end() && text_of(*it, "mode") == "bsp";
}

/// Its end depended on what its losses did: nobody knew its length before.
bool ends_by_losses(const nlohmann::json& spec) { return text_of(spec, "stop_converged") == "yes" || number_of(spec, "patience_epochs") > 0; }

/// Of all asynchronous jobs: the mean of what was measured of each, by its reports with several slots. What a step of it costs no run tells well; the manager's
/// first belief is taken for it.
Staleness measured(const nlohmann::json& summary, const SaidByJob& said, const std::map<std::string, nlohmann::json>& specs) {
  double sum = 0, weights = 0;
  for (const auto& entry : summary["jobs"]) {
    if (!entry.is_object()) continue;
    const auto job = said.find(text_of(entry, "job"));
    const double staleness = number_of(entry, "staleness_per_slot");
    if (job == said.end() || !(staleness >= 0 && staleness <= kStalenessMax)) continue;
    const auto spec = specs.find(job->first);
    if (spec != specs.end() && in_step(spec->second)) continue;
    const double weight = entry.value("staleness_per_slot", nlohmann::json()).is_number() ? job->second.with_several() : 0;
    sum += weight * staleness, weights += weight;
  }
  return weights > 0 ? Staleness{sum / weights, manager::RateModel().speed_up().penalty} : Staleness{};
}

}  // namespace

Result<std::vector<SimJob>> read_run(const std::string& folder, const std::optional<Staleness>& staleness) {
  const auto plan = read_object(folder + "/run.json");
  if (!plan) return fail(plan.error());
  const auto summary = read_object(folder + "/summary.json");
  if (!summary) return fail(summary.error());
  const auto said = read_points(folder + "/losses.csv");
  if (!said) return fail(said.error());
  std::map<std::string, nlohmann::json> specs;
  for (const auto& spec : (*plan)["jobs"]) specs[text_of(spec, "name")] = spec;
  const Staleness usual = staleness ? *staleness : measured(*summary, *said, specs);
  std::vector<SimJob> out;
  for (const auto& entry : (*summary)["jobs"]) {
    const std::string name = text_of(entry, "job");
    const auto reported = said->find(name);
    const double steps = number_of(entry, "steps"), slot_seconds = number_of(entry, "slot_seconds");
    if (reported == said->end() || !(steps >= 1) || !(slot_seconds > 0)) continue;
    const auto& spec = specs[name];
    const Staleness stale = in_step(spec) ? Staleness{} : usual;
    SimJob job{name, curve_of(reported->second, stale), steps, slot_seconds / steps};
    job.staleness = stale.per_slot, job.penalty = stale.penalty;
    job.arrives = from_seconds(std::clamp(number_of(entry, "submitted_seconds"), 0.0, kLatest));
    job.group = text_of(spec, "group");
    job.best = text_of(spec, "objective") == "best";
    job.declared = !ends_by_losses(spec), job.converges = false;  // what it was is all of its curve
    job.family = text_of(spec, "model");
    out.push_back(std::move(job));
  }
  if (out.empty()) return fail(Errc::kBadData, fmt::format("{}: no job of this run made a step", folder));
  return out;
}

}  // namespace sluice::sim
