#include <fmt/format.h>

#include <cmath>

#include "cli/compare.h"
#include "cli/detail/client.h"
#include "cli/detail/summary.h"
#include "cli/detail/table.h"

namespace sluice::cli {
namespace {
using detail::Align;
using detail::Json;

/// A finite number, or null: JSON has no infinities.
Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

/// " (-38 %)" against the first run.
std::string change(double value, double first) { return first > 0 ? fmt::format(" ({:+.0f} %)", (value / first - 1) * 100) : ""; }

std::string totals_line(const Comparison& c, const char* what, double RunTotals::*field) {
  std::string out = fmt::format("{}:", what);
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    const double value = c.totals[i].*field;
    out += fmt::format("{} {} {:.1f} s{}", i > 0 ? "," : "", c.runs[i].policy, value, i > 0 ? change(value, c.totals[0].*field) : "");
  }
  return out + "\n";
}

std::string group_line(const Comparison& c, const GroupComparison& group, const char* what, double GroupComparison::Outcome::*field) {
  std::string out = fmt::format("best of group {}, {}:", group.group, what);
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    const double value = group.runs[i].*field;
    out += fmt::format("{} {} {:.1f} s{}{}", i > 0 ? "," : "", c.runs[i].policy, value, group.runs[i].reached ? "" : "*",
                       i > 0 ? change(value, group.runs[0].*field) : "");
  }
  return out + "\n";
}

Json groups_json(const Comparison& c) {
  Json out = Json::array();
  for (const auto& group : c.groups) {
    Json runs = Json::array();
    for (const auto& run : group.runs)
      runs.push_back({{"seconds_to_90", run.seconds_to_90},
                      {"reached", run.reached},
                      {"seconds_to_95", run.seconds_to_95},
                      {"loss_seconds", run.loss_seconds},
                      {"best_loss", finite(run.best_loss)}});
    out.push_back({{"group", group.group}, {"first_loss", finite(group.first_loss)}, {"best_loss", finite(group.best_loss)}, {"runs", std::move(runs)}});
  }
  return out;
}
}  // namespace

std::string to_text(const Comparison& c) {
  std::vector<detail::Column> columns = {{"JOB", Align::kLeft, 32}, {"FIRST LOSS"}, {"BEST LOSS"}};
  for (const auto& run : c.runs) columns.push_back({"TO 90 % " + run.policy});
  for (const auto& run : c.runs) columns.push_back({"HELD OUT " + run.policy});
  detail::Table table(columns);
  bool missed = false;
  for (const auto& job : c.jobs) {
    std::vector<std::string> cells = {job.job, detail::loss_text(job.first_loss), detail::loss_text(job.best_loss)};
    for (const auto& run : job.runs) {
      cells.push_back(fmt::format("{:.1f} s{}", run.seconds_to_90, run.reached ? "" : "*"));
      missed = missed || !run.reached;
    }
    for (const auto& run : job.runs) cells.push_back(detail::metric_text(run.summary));
    table.add(std::move(cells));
  }
  std::string out;
  for (const auto& run : c.runs) out += fmt::format("{}: {}, {:.1f} s\n", run.policy, run.folder, run.wall_seconds);
  out += "\n" + table.text();
  for (const auto& group : c.groups)
    for (const auto& run : group.runs) missed = missed || !run.reached;
  if (missed) out += "* never reached: counts as the end of the run\n";
  out += "\n" + totals_line(c, "mean time to 90 %", &RunTotals::seconds_to_90_mean);
  out += totals_line(c, "mean time to 95 %", &RunTotals::seconds_to_95_mean);
  out += totals_line(c, "worst time to 90 %", &RunTotals::seconds_to_90_worst);
  out += totals_line(c, "mean loss-seconds a job", &RunTotals::loss_seconds_mean);
  for (const auto& group : c.groups) out += group_line(c, group, "time to 90 %", &GroupComparison::Outcome::seconds_to_90);
  for (const auto& group : c.groups) out += group_line(c, group, "time to 95 %", &GroupComparison::Outcome::seconds_to_95);
  for (const auto& group : c.groups) out += group_line(c, group, "loss-seconds", &GroupComparison::Outcome::loss_seconds);
  return out;
}

std::string to_json(const Comparison& c) {
  Json runs = Json::array();
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    runs.push_back({{"folder", c.runs[i].folder},
                    {"policy", c.runs[i].policy},
                    {"wall_seconds", c.runs[i].wall_seconds},
                    {"seconds_to_90_mean", c.totals[i].seconds_to_90_mean},
                    {"seconds_to_95_mean", c.totals[i].seconds_to_95_mean},
                    {"seconds_to_90_worst", c.totals[i].seconds_to_90_worst},
                    {"loss_seconds_per_job", c.totals[i].loss_seconds_mean}});
  }
  Json jobs = Json::array();
  for (const auto& job : c.jobs) {
    Json outcomes = Json::array();
    for (const auto& run : job.runs) {
      const auto metrics = run.summary.find("metrics");
      outcomes.push_back({{"seconds_to_90", run.seconds_to_90},
                          {"reached", run.reached},
                          {"seconds_to_95", run.seconds_to_95},
                          {"loss_seconds", run.loss_seconds},
                          {"validation_loss", finite(detail::number(run.summary, "validation_loss", NAN))},
                          {"metrics", metrics != run.summary.end() ? *metrics : Json::object()}});
    }
    jobs.push_back({{"job", job.job}, {"first_loss", finite(job.first_loss)}, {"best_loss", finite(job.best_loss)}, {"runs", std::move(outcomes)}});
  }
  return Json{{"version", 1}, {"runs", std::move(runs)}, {"jobs", std::move(jobs)}, {"groups", groups_json(c)}}.dump();
}

}  // namespace sluice::cli
