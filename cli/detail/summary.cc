#include "cli/detail/summary.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "cli/detail/table.h"

namespace sluice::cli::detail {
Result<Json> read_json(const std::string& path) {
  constexpr std::uintmax_t kBytesMax = 64u << 20;
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return fail(Errc::kNotFound, fmt::format("{}: {}", path, error.message()));
  if (size > kBytesMax) return fail(Errc::kBadData, fmt::format("{}: larger than {} bytes", path, kBytesMax));
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  Json parsed = Json::parse(text.str(), nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return fail(Errc::kBadData, fmt::format("{}: not a JSON object", path));
  return parsed;
}

std::string metric_text(const Json& job) {
  const auto metrics = job.find("metrics");
  if (metrics == job.end() || !metrics->is_object() || metrics->empty() || !metrics->begin()->is_number()) return "-";
  const auto value = metrics->begin()->get<double>();
  return metrics->begin().key() == "accuracy" ? percent_text(value) : fmt::format("{} {}", loss_text(value), metrics->begin().key());
}

std::string summary_table(const Json& summary) {
  std::set<std::string> names;  // of the metrics; jobs of classes and of targets may stand in one table
  for (const auto& job : list(summary, "jobs")) {
    const auto metrics = job.find("metrics");
    if (metrics != job.end() && metrics->is_object() && !metrics->empty()) names.insert(metrics->begin().key());
  }
  const std::string metric = names.size() == 1 ? "HELD-OUT " + *names.begin() : "HELD OUT";
  Table table({{"JOB", Align::kLeft, 32}, {"STATE", Align::kLeft}, {"FIRST LOSS"}, {"FINAL LOSS"}, {metric}, {"TO 90 %"}, {"SLOT-SECONDS"}, {"MOVES"}});
  std::string failures;
  for (const auto& job : list(summary, "jobs")) {
    const std::string state = text(job, "state", "?");
    table.add({text(job, "job", "?"), state, loss_text(number(job, "first_loss", kNone)), loss_text(number(job, "final_loss", kNone)), metric_text(job),
               seconds_text(number(job, "seconds_to_90", -1)), fmt::format("{:.1f}", number(job, "slot_seconds")),
               fmt::format("{:.0f}", number(job, "moves_in"))});
    if (state == "failed") failures += fmt::format("{} failed: {}\n", text(job, "job", "?"), sluice::text::printable(text(job, "reason")));
  }
  return table.text() + failures;
}

Result<void> verdict(const Json& summary) {
  int failed = 0;
  int bad_data = 0;
  int unplaceable = 0;
  int unfinished = 0;
  int cancelled = 0;
  for (const auto& job : list(summary, "jobs")) {
    const std::string state = text(job, "state");
    if (!is_over(state)) ++unfinished;
    if (state == "cancelled") ++cancelled;
    if (state != "failed") continue;
    ++failed;
    bad_data += text(job, "code") == name_of(Errc::kBadData) ? 1 : 0;
    unplaceable += text(job, "code") == name_of(Errc::kUnplaceable) ? 1 : 0;
  }
  const Errc why = failed == bad_data ? Errc::kBadData : failed == unplaceable ? Errc::kUnplaceable : Errc::kJobFailed;
  if (failed > 0) return fail(why, fmt::format("{} job{} failed", failed, failed == 1 ? "" : "s"));
  if (unfinished > 0) return fail(Errc::kPartlyDone, fmt::format("{} job{} not finished", unfinished, unfinished == 1 ? " is" : "s are"));
  if (cancelled > 0) return fail(Errc::kPartlyDone, fmt::format("{} job{} cancelled", cancelled, cancelled == 1 ? " was" : "s were"));
  return {};
}

}  // namespace sluice::cli::detail
