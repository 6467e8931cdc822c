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

/// "  label: words" where there are words.
std::string line_of(const char* label, const std::string& words) { return words.empty() ? "" : fmt::format("  {}: {}\n", label, words); }

bool flag(const Json& from, const char* key) {
  const auto it = from.find(key);
  return it != from.end() && it->is_boolean() && it->get<bool>();
}

std::string names_of(const Json& holders) {
  std::string out;
  for (const auto& h : holders)
    out += fmt::format("{}{} ({:g}, index {:.3g})", out.empty() ? "" : ", ", detail::text(h, "job", "?"), number(h, "slots"), number(h, "index"));
  return out;
}

/// What one job's answer says beside its history: its rate, what is left, what the next slot is worth, who holds it, what would change that.
std::string standing(const Json& job) {
  std::string out;
  const auto part = [&](const char* key) -> const Json& {
    static const Json none = Json::object();
    const auto it = job.find(key);
    return it != job.end() && it->is_object() ? *it : none;
  };
  const Json &next = part("next_slot"), &speed = part("speed_up"), &left = part("remaining"), &outcome = part("outcome");
  out += line_of("target", detail::text(part("target"), "sentence"));
  if (!speed.empty() && speed.contains("now") && speed.contains("next"))
    out += line_of(
        "rate", fmt::format("{:.4g} steps/s with {:g} slots, {:.4g} with one more (contention {:.3g}{}; staleness {:.3g} steps, a step then counts {:.2f})",
                            number(speed["now"], "steps_per_s"), number(speed["now"], "slots"), number(speed["next"], "steps_per_s"), number(speed, "kappa"),
                            flag(speed, "kappa_measured") ? "" : ", not measured yet", number(speed, "staleness"), number(speed["now"], "efficiency")));
  if (!left.empty())
    out += line_of("left of its loss",
                   fmt::format("{:.2f} by its own reports, {:.2f} ± {:.2f} by {:g} past jobs of its model; {:.0f} steps in all{}", number(left, "fitted"),
                               number(left, "past_jobs"), number(left, "past_deviation"), number(left, "jobs_of_model"), number(left, "total_steps"),
                               flag(left, "declared") ? "" : " (not declared: an estimate)"));
  if (!outcome.empty())
    out += line_of("last forecast", fmt::format("a drop of {:.4g} over {:g} steps; it fell by {:.4g}", number(outcome, "predicted_drop"),
                                                number(outcome, "steps"), number(outcome, "actual_drop")));
  if (!next.empty())
    out +=
        line_of("its next slot", fmt::format("{} of its loss a second; index {:.3g}, price {:.3g}",
                                             next.contains("gain_per_s") && next["gain_per_s"].is_number() ? fmt::format("{:.3g}", number(next, "gain_per_s"))
                                                                                                           : "nobody knows yet how much",
                                             number(next, "index"), number(next, "price")));
  out += line_of("held by", names_of(detail::list(job, "holders")));
  for (const auto& change : detail::list(job, "would_change")) out += line_of("more", detail::text(change, "sentence"));
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
    if (job.is_object()) out += standing(job);
    for (const auto& entry : history(job)) out += decision_line(entry);
  }
  return out.empty() ? "no jobs\n" : out;
}

std::string prior_text(const nlohmann::json& document) try {
  detail::Table table({{"MODEL", detail::Align::kLeft}, {"JOBS"}, {"LEFT AT 1/8"}, {"1/4"}, {"1/2"}, {"3/4"}, {"MEDIAN STEPS"}});
  for (const auto& [model, family] : document.at("prior").at("families").items()) {
    const double jobs = family.at("jobs");
    const auto& sum = family.at("sum");
    auto steps = family.at("steps").get<std::vector<double>>();
    std::sort(steps.begin(), steps.end());
    const auto left = [&](std::size_t eighths) { return fmt::format("{:.3f}", sum.at(eighths * (sum.size() - 1) / 8).get<double>() / jobs); };
    table.add(
        {model, fmt::format("{:g}", jobs), left(1), left(2), left(4), left(6), steps.empty() ? "-" : fmt::format("{:.0f}", steps[(steps.size() - 1) / 2])});
  }
  return table.text();
} catch (const nlohmann::json::exception&) { return "what past jobs taught is not readable\n"; }

}  // namespace sluice::cli
