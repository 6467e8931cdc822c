#include "manager/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/detail/print.h"
#include "cli/detail/table.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
using manager::Replay;

struct ReplayFlags {
  std::string file;
  std::string policy = "same";
  bool json = false;
};

nlohmann::json replay_json(const Replay& replay) {
  nlohmann::json jobs = nlohmann::json::array();
  for (const auto& [id, job] : replay.jobs)
    jobs.push_back({{"job", job.name},
                    {"id", id},
                    {"recorded_slot_seconds", job.recorded_slot_seconds},
                    {"slot_seconds", job.again_slot_seconds},
                    {"rounds", job.rounds},
                    {"differing_rounds", job.differing}});
  nlohmann::json first;
  if (replay.first)
    first = {{"line", replay.first->line},
             {"decision", replay.first->decision},
             {"where", replay.first->where},
             {"recorded", replay.first->recorded},
             {"again", replay.first->again}};
  return {{"version", 1},
          {"policy", replay.policy},
          {"recorded", replay.recorded_policies},
          {"versions", replay.versions},
          {"identical", replay.policy == "same" ? nlohmann::json(!replay.first) : nlohmann::json()},
          {"first_difference", std::move(first)},
          {"rounds", replay.rounds},
          {"differing_rounds", replay.differing_rounds},
          {"slots_changed", replay.slots_changed},
          {"seconds", replay.seconds},
          {"jobs", std::move(jobs)}};
}

std::string replay_text(const Replay& replay) {
  if (replay.policy == "same")
    return replay.first ? std::string()
                        : fmt::format("{} rounds of {} decided again: byte by byte as recorded\n", replay.rounds, fmt::join(replay.recorded_policies, ", "));
  std::string out = fmt::format("{} rounds recorded under {}, decided again by {}: {} of them otherwise, {} slots to other jobs\n", replay.rounds,
                                fmt::join(replay.recorded_policies, ", "), replay.policy, replay.differing_rounds, replay.slots_changed);
  detail::Table table({{"JOB", detail::Align::kLeft}, {"RECORDED SLOTS"}, {"SLOTS"}, {"ROUNDS"}, {"OTHERWISE"}});
  const double seconds = std::max(replay.seconds, 1e-9);
  for (const auto& [id, job] : replay.jobs)
    table.add({job.name, fmt::format("{:.3f}", job.recorded_slot_seconds / seconds), fmt::format("{:.3f}", job.again_slot_seconds / seconds),
               std::to_string(job.rounds), std::to_string(job.differing)});
  return out + table.text();
}

int replay_verb(const ReplayFlags& flags) {
  std::error_code error;
  const std::string path = std::filesystem::is_directory(flags.file, error) ? flags.file + "/decisions.jsonl" : flags.file;
  const auto replay = manager::replay(path, flags.policy);
  if (!replay) return detail::report(replay.error(), flags.json);
  for (const std::string& version : replay->versions) detail::note(fmt::format("warning: {}; its decisions may differ for that", version));
  const auto printed = detail::print(flags.json ? replay_json(*replay).dump() + "\n" : replay_text(*replay));
  if (!printed) return detail::report(printed.error(), flags.json);
  if (!replay->first) return 0;
  const auto& first = *replay->first;
  const auto cut = [](const std::string& text) { return text.size() > 200 ? text.substr(0, 200) + "…" : text; };
  return detail::report({Errc::kJobFailed, fmt::format("{}:{}: decision {} comes out otherwise, first at {}: recorded {}, now {}", path, first.line,
                                                       first.decision, first.where.empty() ? "its bytes" : first.where, cut(first.recorded), cut(first.again))},
                        false);
}
}  // namespace

void add_replay(CLI::App& app, int& status) {
  auto* verb =
      app.add_subcommand("replay", "Decides a recorded run again: with its own policy, to the last byte; with another, what would have been otherwise");
  auto flags = std::make_shared<ReplayFlags>();
  verb->add_option("FILE", flags->file, "decisions.jsonl, or the output folder of a run")->required();
  verb->add_option("--policy", flags->policy, "same, or a policy's name; each recorded round is decided on its own, as it was then")->capture_default_str();
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice replay out/A/decisions.jsonl --policy same\n\nExit status 1: it is decided otherwise; standard error says where first.");
  verb->callback([flags, &status] { status = replay_verb(*flags); });
}

}  // namespace sluice::cli
