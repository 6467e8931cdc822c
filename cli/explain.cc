#include "cli/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include "base/text.h"
#include "cli/detail/client.h"
#include "cli/detail/progress.h"
#include "cli/detail/summary.h"
#include "cli/detail/table.h"

namespace sluice::cli {
namespace {
using detail::Json;
using detail::number;

/// "loss 0.4312, remaining 0.21, predicted drop 0.0312 (without: 0.0100)": what the decision saw, as far as it is in the entry.
std::string evidence(const Json& entry) {
  std::string out;
  const auto add = [&](const std::string& words) { out += (out.empty() ? "" : ", ") + words; };
  const double loss = number(entry, "loss");
  if (loss > 0) add(fmt::format("loss {}, remaining {:.2f}", detail::loss_text(loss), number(entry, "normalized_loss")));
  const double with = number(entry, "drop_with");
  const double without = number(entry, "drop_without");
  if (with > 0 || without > 0) add(fmt::format("predicted drop {:.4f}, without the change {:.4f}", with, without));
  for (const auto& refused : detail::list(entry, "refused"))
    add(fmt::format("refused {} ({})", detail::text(refused, "job", "?"), detail::text(refused, "reason")));
  return out;
}

std::string decision_line(const Json& entry) {
  if (detail::text(entry, "kind") == "asked") return fmt::format("  {:8.2f} s  asked: {}\n", number(entry, "time_ms") / 1000, detail::text(entry, "sentence"));
  std::string out = fmt::format("  {:8.2f} s  {} → {} slots  {}: {}\n", number(entry, "time_ms") / 1000, number(entry, "before"), number(entry, "after"),
                                detail::text(entry, "reason", "?"), detail::text(entry, "sentence"));
  if (const std::string seen = evidence(entry); !seen.empty()) out += fmt::format("{:13}{}\n", "", seen);
  return out;
}

/// What happened to a job, in its order: changes of its slots, and what people asked.
std::vector<Json> history(const Json& job) {
  std::vector<Json> out;
  for (const char* key : {"decisions", "asked"})
    for (const auto& entry : detail::list(job, key))
      if (entry.is_object() && detail::text(entry, "kind") != "moved") out.push_back(entry);
  // By decisions, which go on counting when a manager is restarted, and not by time, which does not. An order names the decision before it.
  const auto place = [](const Json& entry) { return number(entry, "decision") + (detail::text(entry, "kind") == "asked" ? 0.5 : 0); };
  std::stable_sort(out.begin(), out.end(), [&](const Json& a, const Json& b) { return place(a) < place(b); });
  return out;
}

struct Entries {
  Json decisions = Json::array(), asked = Json::array();
};

/// Adds the line's entries to their jobs, each with the round's own fields.
void index(const Json& line, std::map<std::string, Entries>& by_job) {
  if (detail::text(line, "kind") == "asked") by_job[detail::text(line, "job")].asked.push_back(line);
  for (Json entry : detail::list(line, "changes")) {
    if (!entry.is_object()) continue;
    for (const char* key : {"decision", "round", "time_ms", "policy"}) {
      if (const auto it = line.find(key); it != line.end()) entry[key] = *it;
    }
    by_job[detail::text(entry, "job")].decisions.push_back(std::move(entry));
  }
}
}  // namespace

Result<nlohmann::json> explain_offline(const std::string& folder, const std::string& job) {
  std::ifstream in(folder + "/decisions.jsonl");
  if (!in) return fail(Errc::kNotFound, fmt::format("{}/decisions.jsonl: there is no such file; is {} the output folder of a run?", folder, folder));
  std::map<std::string, Entries> by_job;
  int number_of_line = 0;
  for (std::string line; std::getline(in, line);) {
    ++number_of_line;
    const Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    // A run that was killed may leave half a last line; anything else is not ours.
    if (!parsed.is_object() && !in.eof()) return fail(Errc::kBadData, fmt::format("{}/decisions.jsonl:{}: not a JSON object", folder, number_of_line));
    if (parsed.is_object()) index(parsed, by_job);
  }
  std::map<std::string, Json> summaries;
  if (const auto summary = detail::read_json(folder + "/summary.json")) {
    for (const auto& entry : detail::list(*summary, "jobs")) summaries[detail::text(entry, "job")] = entry;
  }
  for (const auto& [name, entries] : by_job) summaries.try_emplace(name, Json::object());
  Json jobs = Json::array();
  std::vector<std::string> names;
  for (const auto& [name, summary] : summaries) {
    names.push_back(name);
    if (!job.empty() && job != name) continue;
    const auto entries = by_job.find(name);
    jobs.push_back({{"job", name},
                    {"state", detail::text(summary, "state", "?")},
                    {"reason", detail::text(summary, "reason")},
                    {"decisions", entries == by_job.end() ? Json::array() : entries->second.decisions},
                    {"asked", entries == by_job.end() ? Json::array() : entries->second.asked}});
  }
  if (jobs.empty() && !job.empty()) return fail(Errc::kNotFound, sluice::text::unknown_name("job", job, names));
  return Json{{"version", 1}, {"jobs", std::move(jobs)}};
}

std::string explain_text(const nlohmann::json& document) {
  std::string out;
  for (const auto& job : detail::list(document, "jobs")) {
    const std::string reason = detail::text(job, "reason"), limits = detail::limits_text(job);
    out += fmt::format("{}: {}{}{}{}{}\n", detail::text(job, "job", "?"), detail::text(job, "state", "?"), reason.empty() ? "" : ", ", reason,
                       limits.empty() ? "" : "; ", limits);
    for (const auto& entry : history(job)) out += decision_line(entry);
  }
  return out.empty() ? "no jobs\n" : out;
}

}  // namespace sluice::cli
