#include "cli/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <set>

#include "cli/detail/client.h"
#include "cli/detail/summary.h"
#include "manager/quality.h"
#include "sim/losses_file.h"

namespace sluice::cli {
namespace {
using detail::Json;

/// What rows of jobs that aren't in the summary are.
enum class Unknown : std::uint8_t {
  kBad,
  kNew,        ///< there is no summary
  kForgotten,  ///< left out: the manager had forgotten some jobs when it wrote the summary
};

/// Adds the rows up to the first bad one.
Result<void> load_losses(const std::string& path, std::map<std::string, JobRecord>& jobs, Unknown unknown) {
  return sim::read_losses(path, [&](const sim::LossRow& row) -> Result<void> {
    const auto it = unknown == Unknown::kNew ? jobs.try_emplace(row.job).first : jobs.find(row.job);
    if (it == jobs.end() && unknown == Unknown::kForgotten) return {};
    if (it == jobs.end()) return fail(Errc::kBadData, fmt::format("{}:{}: job '{}' is not in summary.json", path, row.line, row.job));
    std::vector<LossPoint>& points = it->second.points;
    // Where a manager lives long, names come again: the summary is of the newest job of that name.
    const auto begins_anew = [&](const LossPoint& last) {
      return row.point.step < last.step || (row.point.step == last.step && row.point.seconds < last.seconds);
    };
    if (!points.empty() && begins_anew(points.back())) points.clear();
    points.push_back(row.point);
    return {};
  });
}

void take_summary(const Json& summary, RunRecord& out) {
  out.policy = detail::text(summary, "policy", "?");
  out.wall_seconds = detail::number(summary, "wall_seconds");
  for (const auto& job : detail::list(summary, "jobs")) {
    if (job.is_object()) out.jobs[detail::text(job, "job")].summary = job;
  }
  out.summary = summary;
}

/// Jobs that no summary knows yet get an entry for what is known of them.
void fill_gaps(RunRecord& out) {
  for (const auto& spec : out.specs) {
    Json& entry = out.jobs[detail::text(spec, "name", "?")].summary;
    if (entry.is_null()) entry["submitted_seconds"] = detail::number(spec, "submit_after_s");
  }
  for (auto& [name, job] : out.jobs) {
    if (!job.summary.contains("job")) job.summary["job"] = name;
    if (!job.summary.contains("state")) job.summary["state"] = "unfinished";
    if (!out.summary.is_null() || job.points.empty()) continue;
    out.wall_seconds = std::max(out.wall_seconds, detail::number(job.summary, "submitted_seconds") + job.points.back().seconds);
  }
}

/// What differs between two runs' jobs, or empty. `a` and `b`: arrays of job specs.
std::string difference(const Json& a, const Json& b) {
  const auto by_name = [](const Json& specs) {
    std::map<std::string, Json> out;
    for (const auto& spec : specs) out[detail::text(spec, "name")] = spec;
    return out;
  };
  const auto left = by_name(a);
  const auto right = by_name(b);
  for (const auto& [name, spec] : left) {
    const auto it = right.find(name);
    if (it == right.end()) return fmt::format("job '{}' is only in the first", name);
    for (const auto& [key, value] : spec.items()) {
      const auto other = it->second.find(key);
      if (other == it->second.end() || *other != value) return fmt::format("'{}' of job '{}' differs", key, name);
    }
  }
  for (const auto& [name, spec] : right) {
    if (!left.contains(name)) return fmt::format("job '{}' is only in the second", name);
  }
  return {};
}

JobComparison compare_job(const std::string& name, const std::vector<RunRecord>& runs) {
  JobComparison out;
  out.job = name;
  double first = -std::numeric_limits<double>::infinity();
  double best = std::numeric_limits<double>::infinity();
  double longest = 0;
  std::vector<double> ends;  // of the runs, in seconds since the job's submission
  for (const auto& run : runs) {
    const auto& [points, summary] = run.jobs.at(name);
    ends.push_back(run.wall_seconds - detail::number(summary, "submitted_seconds"));
    longest = std::max(longest, ends.back());
    if (points.empty()) continue;
    first = std::max(first, points.front().loss);
    best = std::min(best, manager::best_level(points));
  }
  out.first_loss = first;
  out.best_loss = best;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto& record = runs[i].jobs.at(name);
    const std::vector<manager::Level> levels = manager::levels_of(record.points);
    const auto to_90 = manager::seconds_to_fraction(levels, first, best, 0.9), to_95 = manager::seconds_to_fraction(levels, first, best, 0.95);
    out.runs.push_back(
        {to_90.value_or(ends[i]), to_90.has_value(), to_95.value_or(ends[i]), manager::loss_seconds(levels, first, best, longest), record.summary});
  }
  return out;
}

GroupComparison compare_group(const std::string& group, const std::vector<std::string>& names, const std::vector<RunRecord>& runs) {
  GroupComparison out{group, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(), {}};
  std::vector<BestSoFar> bests;
  double longest = 0;
  for (const RunRecord& run : runs) {
    const BestSoFar& best = bests.emplace_back(best_so_far(run, names));
    out.first_loss = std::max(out.first_loss, best.first_loss);
    out.best_loss = std::min(out.best_loss, best.best_loss);
    longest = std::max(longest, run.wall_seconds - best.begun);
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const auto seconds_to = [&](double fraction) { return manager::seconds_to_fraction(bests[i].levels, out.first_loss, out.best_loss, fraction); };
    const double ends = runs[i].wall_seconds - bests[i].begun;
    GroupComparison::Outcome& of_run = out.runs.emplace_back();
    of_run.best_loss = bests[i].best_loss;
    of_run.reached = seconds_to(0.9).has_value();
    of_run.seconds_to_90 = seconds_to(0.9).value_or(ends);
    of_run.seconds_to_95 = seconds_to(0.95).value_or(ends);
    of_run.loss_seconds = manager::loss_seconds(bests[i].levels, out.first_loss, out.best_loss, longest);
  }
  return out;
}
}  // namespace

BestSoFar best_so_far(const RunRecord& run, const std::vector<std::string>& names) {
  BestSoFar out;
  const auto submitted = [&](const std::string& name) { return detail::number(run.jobs.at(name).summary, "submitted_seconds"); };
  for (const auto& name : names) out.begun = std::min(out.begun, submitted(name));
  std::vector<manager::GroupMember> members;
  for (const auto& name : names) {
    const auto& points = run.jobs.at(name).points;
    if (points.empty()) continue;
    members.push_back({submitted(name) - out.begun, points});
    out.first_loss = std::max(out.first_loss, points.front().loss);
    out.best_loss = std::min(out.best_loss, manager::best_level(points));
  }
  out.levels = manager::best_of(members);
  return out;
}

Result<RunRecord> load_run(const std::string& folder) {
  RunRecord out;
  out.folder = folder;
  const auto plan = detail::read_json(folder + "/run.json");
  if (!plan) return fail(plan.error().code, fmt::format("{} (is {} the output folder of a run?)", plan.error().what, folder));
  out.specs = detail::list(*plan, "jobs");
  const auto summary = detail::read_json(folder + "/summary.json");
  if (!summary) return fail(summary.error().code, fmt::format("{} (the run did not come to an end)", summary.error().what));
  if (detail::number(*summary, "version") != 1) return fail(Errc::kBadData, fmt::format("{}/summary.json: of another version than 1", folder));
  take_summary(*summary, out);
  if (const auto loaded = load_losses(folder + "/losses.csv", out.jobs, Unknown::kBad); !loaded) return tl::unexpected(loaded.error());
  for (const auto& spec : out.specs) {
    if (!out.jobs.contains(detail::text(spec, "name")))
      return fail(Errc::kBadData, fmt::format("{}/summary.json: job '{}' is missing", folder, detail::text(spec, "name")));
  }
  return out;
}

Result<RunRecord> load_what_is_there(const std::string& folder, std::vector<std::string>& notes) {
  const auto is_there = [&](const char* name) {
    std::error_code error;
    return std::filesystem::is_regular_file(folder + "/" + name, error);
  };
  if (!is_there("run.json") && !is_there("summary.json") && !is_there("losses.csv") && !is_there("decisions.jsonl"))
    return fail(Errc::kNotFound, fmt::format("{}: has none of run.json, summary.json, losses.csv, decisions.jsonl; is it the output folder of a run?", folder));
  RunRecord out;
  out.folder = folder;
  out.policy = "?";
  if (const auto plan = detail::read_json(folder + "/run.json")) {
    out.specs = detail::list(*plan, "jobs");
    out.policy = detail::text(*plan, "policy", "?");
  } else {
    notes.push_back(plan.error().what);
  }
  if (const auto summary = detail::read_json(folder + "/summary.json")) {
    take_summary(*summary, out);
  } else {
    notes.push_back(fmt::format("{} (the run did not come to an end, or goes on)", summary.error().what));
  }
  const bool forgot = detail::number(out.summary, "jobs_forgotten") > 0;
  const Unknown unknown = out.summary.is_null() ? Unknown::kNew : forgot ? Unknown::kForgotten : Unknown::kBad;
  if (const auto loaded = load_losses(folder + "/losses.csv", out.jobs, unknown); !loaded)
    notes.push_back(fmt::format("{}; what follows it is left out", loaded.error().what));
  fill_gaps(out);
  return out;
}

Result<Comparison> compare(std::vector<RunRecord> runs) {
  if (runs.size() < 2) return fail(Errc::kBadConfig, "two or more output folders are needed, for example: sluice compare out/A out/B");
  for (std::size_t i = 1; i < runs.size(); ++i) {
    if (const std::string what = difference(runs[0].specs, runs[i].specs); !what.empty()) {
      return fail(Errc::kBadConfig, fmt::format("{} and {} are not runs of the same jobs: {}", runs[0].folder, runs[i].folder, what));
    }
  }
  Comparison out;
  std::map<std::string, std::vector<std::string>> groups;
  for (const auto& spec : runs[0].specs) {
    out.jobs.push_back(compare_job(detail::text(spec, "name"), runs));
    if (const std::string group = detail::text(spec, "group"); !group.empty()) groups[group].push_back(detail::text(spec, "name"));
  }
  for (const auto& [group, names] : groups) out.groups.push_back(compare_group(group, names, runs));
  out.totals.resize(runs.size());
  const double count = std::max<double>(1, static_cast<double>(out.jobs.size()));
  for (const auto& job : out.jobs) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      out.totals[i].seconds_to_90_mean += job.runs[i].seconds_to_90 / count;
      out.totals[i].seconds_to_95_mean += job.runs[i].seconds_to_95 / count;
      out.totals[i].seconds_to_90_worst = std::max(out.totals[i].seconds_to_90_worst, job.runs[i].seconds_to_90);
      out.totals[i].loss_seconds_mean += job.runs[i].loss_seconds / count;
    }
  }
  out.runs = std::move(runs);
  return out;
}

}  // namespace sluice::cli
