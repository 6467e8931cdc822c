#include "cli/simulate.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/report.h"
#include "cli/report/page.h"
#include "cli/report/study_document.h"
#include "sim/table_file.h"

namespace sluice::cli {
namespace {

using sim::Outcome;

struct Measure {
  const char* name;
  double (*of)(const Outcome&);
};
constexpr Measure kMeasures[] = {
    {"jobs", [](const Outcome& o) { return static_cast<double>(o.jobs); }},
    {"unfinished", [](const Outcome& o) { return static_cast<double>(o.unfinished); }},
    {"loss_seconds_per_job", [](const Outcome& o) { return o.loss_seconds_per_job; }},
    {"active_normalized_loss", [](const Outcome& o) { return o.active_normalized_loss; }},
    {"seconds_to_90", [](const Outcome& o) { return o.seconds_to_90; }},
    {"seconds_to_95", [](const Outcome& o) { return o.seconds_to_95; }},
    {"seconds_to_99", [](const Outcome& o) { return o.seconds_to_99; }},
    {"loss_left", [](const Outcome& o) { return o.loss_left; }},
    {"completion_mean", [](const Outcome& o) { return o.completion_mean; }},
    {"completion_p50", [](const Outcome& o) { return o.completion_p50; }},
    {"completion_p99", [](const Outcome& o) { return o.completion_p99; }},
    {"worst_slowdown", [](const Outcome& o) { return o.worst_slowdown; }},
    {"group_loss_seconds", [](const Outcome& o) { return o.group_loss_seconds; }},
    {"moves_per_round", [](const Outcome& o) { return o.moves_per_round; }},
    {"round_ms_p50", [](const Outcome& o) { return o.round_ms_p50; }},
    {"round_ms_p99", [](const Outcome& o) { return o.round_ms_p99; }},
    {"rounds", [](const Outcome& o) { return static_cast<double>(o.rounds); }},
    {"seconds", [](const Outcome& o) { return o.seconds; }},
};

double mean_of(const sim::Study& study, const std::string& policy, const Measure& measure) {
  double sum = 0, count = 0;
  for (const Outcome& outcome : study.outcomes)
    if (outcome.policy == policy) sum += measure.of(outcome), ++count;
  return count > 0 ? sum / count : 0;
}

}  // namespace

std::string to_json(const sim::Study& study) {
  nlohmann::json results = nlohmann::json::array();
  for (const Outcome& outcome : study.outcomes) {
    nlohmann::json entry = {{"policy", outcome.policy}, {"seed", outcome.seed}};
    for (const Measure& measure : kMeasures) {
      const double value = measure.of(outcome);
      const std::string name = measure.name;
      if (name == "jobs" || name == "unfinished" || name == "rounds")
        entry[name] = static_cast<std::uint64_t>(value);
      else
        entry[name] = value;
    }
    results.push_back(std::move(entry));
  }
  return nlohmann::json{{"version", 1}, {"curves", study.curves}, {"results", std::move(results)}}.dump();
}

std::string to_text(const sim::Study& study) {
  std::string out = fmt::format("{:13}", "policy");
  std::vector<const Measure*> shown;
  for (const Measure& measure : kMeasures) {
    const std::string name = measure.name;
    if (name == "jobs" || name == "unfinished" || name == "rounds" || name == "seconds" || name == "seconds_to_99") continue;
    const auto grouped = [](const sim::Outcome& outcome) { return outcome.group_loss_seconds > 0; };
    if (name == "group_loss_seconds" && std::none_of(study.outcomes.begin(), study.outcomes.end(), grouped)) continue;
    shown.push_back(&measure);
    out += fmt::format("  {}", measure.name);
  }
  out += '\n';
  for (const std::string& policy : study.scenario.policies) {
    out += fmt::format("{:13}", policy);
    for (const Measure* measure : shown) {
      const double value = mean_of(study, policy, *measure), first = mean_of(study, study.scenario.policies.front(), *measure);
      const std::string ratio = first > 0 && std::string(measure->name).find("round") == std::string::npos ? fmt::format(" ({:.2f})", value / first) : "";
      out += fmt::format("  {:>{}}", fmt::format("{:.4g}{}", value, ratio), std::string(measure->name).size());
    }
    out += '\n';
  }
  return out;
}

Result<void> write_csv(const sim::Study& study, const std::string& path) {
  std::ofstream out(path, std::ios::trunc);
  out << "policy,seed";
  for (const Measure& measure : kMeasures) out << ',' << measure.name;
  out << '\n';
  for (const Outcome& outcome : study.outcomes) {
    out << outcome.policy << ',' << outcome.seed;
    for (const Measure& measure : kMeasures) out << ',' << fmt::format("{}", measure.of(outcome));
    out << '\n';
  }
  out.close();
  if (!out) return fail(Errc::kIo, fmt::format("cannot write {}", path));
  return {};
}

Result<void> write_jobs_csv(const sim::Study& study, const std::string& path) {
  std::ofstream out(path, std::ios::trunc);
  out << "policy,seed,job,family,group,arrives,seconds_to_50,seconds_to_75,seconds_to_90,seconds_to_95,seconds_to_99,seconds,loss_seconds,loss_left,"
         "slot_seconds,seconds_alone,moves\n";
  const auto or_empty = [](const std::optional<double>& seconds) { return seconds ? fmt::format("{}", *seconds) : std::string(); };
  for (const Outcome& outcome : study.outcomes)
    for (const sim::JobResult& job : outcome.each)
      out << fmt::format("{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n", outcome.policy, outcome.seed, sim::csv_cell(job.name),
                         sim::csv_cell(job.family), sim::csv_cell(job.group), job.arrives, or_empty(job.to_50), or_empty(job.to_75), or_empty(job.to_90),
                         or_empty(job.to_95), or_empty(job.to_99), or_empty(job.completed), job.loss_seconds, job.left, job.slot_seconds, job.alone, job.moves);
  out.close();
  if (!out) return fail(Errc::kIo, fmt::format("cannot write {}", path));
  return {};
}

std::vector<std::string> measure_names() {
  std::vector<std::string> out;
  for (const Measure& measure : kMeasures) out.emplace_back(measure.name);
  return out;
}

nlohmann::json means_of(const sim::Study& study, const std::string& policy) {
  nlohmann::json out = nlohmann::json::object();
  for (const Measure& measure : kMeasures) out[measure.name] = mean_of(study, policy, measure);
  return out;
}

Result<void> write_study_page(const sim::Study& study, const std::string& path) {
  return write_page(path, report::page(report::study_document(study), report::study_parts()), "--html");
}

}  // namespace sluice::cli
