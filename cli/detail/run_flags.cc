#include "cli/detail/run_flags.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/detail/manager_flags.h"
#include "cli/detail/table.h"

namespace sluice::cli::detail {

void RunFlags::add_to(CLI::App& verb, bool cluster) {
  verb.add_option("FILE", file, "The run file (docs/run-file.md)")->required();
  if (cluster) {
    verb.add_option("--policy", policy, policy_words() + " (default: the file's)");
    verb.add_option("--slots", slots, "Worker slots, or auto: one a core (default: the file's)");
    verb.add_option("--servers", servers, "Parameter servers (default: the file's)");
  }
  verb.add_option("--max-bad-rows", max_bad_rows, "Bad rows that every dataset may have (default: the file's, or 0)");
  verb.add_option("--set", sets,
                  "key=value: another value for a key of the file, e.g. cluster.slots=4, jobs.NAME.epochs=1, 'jobs.*.seed=[1, 2]'; again for more")
      ->allow_extra_args(false);
  verb.add_flag("--json", json, "Print JSON");
}

Result<RunFile> read_with_flags(const RunFlags& flags) {
  std::vector<Override> overrides;
  const auto add = [&](const std::string& flag, const char* path, const std::string& value) {
    if (!value.empty()) overrides.push_back({path, value, flag + " " + value});
  };
  add("--policy", "policy.name", flags.policy);
  add("--slots", "cluster.slots", flags.slots);
  add("--servers", "cluster.servers", flags.servers);
  add("--max-bad-rows", "data.*.max_bad_rows", flags.max_bad_rows);
  for (const auto& set : flags.sets) {
    auto parsed = parse_override(set);
    if (!parsed) return tl::unexpected(parsed.error());
    overrides.push_back(std::move(*parsed));
  }
  return read_run_file(flags.file, overrides, built_in_names());
}

std::string plan_text(const RunFile& file, std::uint32_t slots, bool json) {
  if (json) {
    nlohmann::json jobs = nlohmann::json::array();
    for (const auto& [job, submit_after] : file.jobs) {
      jobs.push_back(nlohmann::json::parse(proto::to_json(job)));
      jobs.back()["submit_after_s"] = submit_after.seconds();
    }
    const nlohmann::json document = {
        {"version", 1}, {"policy", file.policy.name}, {"slots", slots}, {"servers", file.cluster.servers}, {"jobs", std::move(jobs)}};
    return document.dump() + "\n";
  }
  Table table({{"JOB", Align::kLeft},
               {"MODEL", Align::kLeft},
               {"DATA", Align::kLeft},
               {"PARAMS", Align::kLeft},
               {"OPTIMIZER", Align::kLeft},
               {"BATCH"},
               {"EPOCHS"},
               {"SEED"},
               {"SUBMITTED"}});
  for (const auto& [job, submit_after] : file.jobs) {
    std::string optimizer = job.optimizer.name;
    for (const auto& [name, value] : job.optimizer.numbers) optimizer += fmt::format(" {}={}", name, value);
    table.add({job.name, job.model, job.data.name, job.params, optimizer, std::to_string(job.batch), std::to_string(job.epochs), std::to_string(job.seed),
               fmt::format("{:g} s", submit_after.seconds())});
  }
  return table.text() + fmt::format("{} jobs, {} worker slots, {} servers, policy {}; nothing was started (--dry-run)\n", file.jobs.size(), slots,
                                    file.cluster.servers, file.policy.name);
}

void follow_starter(Signals& signals) {
  struct sigaction hang_up {};
  const bool nohup = ::sigaction(SIGHUP, nullptr, &hang_up) == 0 && hang_up.sa_handler == SIG_IGN;
  const bool own_session = ::getsid(0) == ::getpid();
  if (!nohup && !own_session && ::getppid() != 1) signals.follow_parent(::getppid());
}

}  // namespace sluice::cli::detail
