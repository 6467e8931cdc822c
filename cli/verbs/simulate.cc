#include "cli/simulate.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {

struct Flags {
  std::string scenario, csv, jobs_csv, html;
  std::vector<std::string> curves, policies;
  std::map<std::string, std::string> values;  ///< of the scenario, by key
  bool json = false;
};

/// The scenario's keys that are one value, and what --help says of them.
constexpr std::pair<const char*, const char*> kValues[] = {
    {"arrivals",
     "poisson:TIME; trace:FILE with the columns timestamp (or submit_time), duration, num_gpus; or run:FOLDER, a recorded run's own jobs, without --curves, "
     "--jobs, --load, --spread, --failing, --groups and --objective"},
    {"jobs", "How many jobs"},
    {"slots", "Worker slots"},
    {"round", "Time between two rounds"},
    {"load", "Scales the jobs' work so that the slots are that busy under linear speed-up"},
    {"spread", "The largest job's work over the smallest's (Poisson arrivals)"},
    {"speedup", "linear, concave:K for n / (1 + K (n - 1)), or table:FILE"},
    {"staleness",
     "SIGMA or SIGMA,PENALTY: each slot of a job beside its first makes a step SIGMA steps staler, and of s steps stale it counts 1 / (1 + PENALTY s) "
     "(default: of run:FOLDER what its manager measured, else 0; PENALTY 0.15)"},
    {"noise", "Standard deviation of a report, as a share of its curve's range"},
    {"report", "Time between two reports of a job (default: 250ms, as live job homes do)"},
    {"report-delay", "How long a report is under way"},
    {"move-cost", "Stall of a slot that comes to a job"},
    {"decision-delay", "How long a grant is under way"},
    {"undeclared", "Share of the jobs that do not say how many steps they have, and end when they have converged, as with stop: {converged: yes}"},
    {"failing", "Share of the jobs that get stuck or diverge on the way"},
    {"groups", "The jobs are so many sweeps, whose members come together"},
    {"objective", "each or best: what of a group counts"},
    {"hosts", "Hosts that share the slots"},
    {"host-fails", "Mean time until a host fails; 0: never"},
    {"host-repair", "Mean time until it is back"},
    {"fairness", "How much waiting counts beside loss: 0 to 1, or strict"},
    {"predictor", "Of all policies (default: each policy's own)"},
    {"seeds", "A seed, or a range such as 1..10"},
    {"until", "The longest simulated time"},
};

std::vector<std::pair<std::string, std::string>> as_scenario(const Flags& flags) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add_list = [&](const char* key, const std::vector<std::string>& items) {
    if (!items.empty())
      out.emplace_back(key, nlohmann::json(items).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));  // JSON is YAML; names may hold quotes
  };
  add_list("curves", flags.curves);
  add_list("policies", flags.policies);
  for (const auto& [key, value] : flags.values) {
    if (value.empty()) continue;
    std::string name = key;
    for (char& c : name)
      if (c == '-') c = '_';
    out.emplace_back(name, value);
  }
  return out;
}

int simulate_verb(const Flags& flags) {
  const auto scenario = sim::read_scenario(flags.scenario, as_scenario(flags));
  if (!scenario) return detail::report(scenario.error(), flags.json);
  const bool redraw = detail::stderr_is_terminal();
  const auto study = sim::run_study(*scenario, [&](std::size_t done, std::size_t all) {
    if (redraw)
      detail::draw(fmt::format("\r{} of {} simulations{}", done, all, done == all ? "\n" : ""));
    else if (done == all || 10 * done / all > 10 * (done - 1) / all)
      detail::note(fmt::format("{} of {} simulations", done, all));
  });
  if (!study) return detail::report(study.error(), flags.json);
  if (study->left_out > 0) detail::note(fmt::format("warning: {} runs with fewer than two points are left out", study->left_out));
  if (!flags.csv.empty())
    if (const auto written = write_csv(*study, flags.csv); !written) return detail::report(written.error(), flags.json);
  if (!flags.jobs_csv.empty())
    if (const auto written = write_jobs_csv(*study, flags.jobs_csv); !written) return detail::report(written.error(), flags.json);
  if (!flags.html.empty())
    if (const auto written = write_study_page(*study, flags.html); !written) return detail::report(written.error(), flags.json);
  const auto printed = detail::print(flags.json ? to_json(*study) + "\n" : to_text(*study));
  return printed ? 0 : detail::report(printed.error(), flags.json);
}

}  // namespace

void add_simulate(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("simulate", "Runs policies against given loss curves on simulated worker slots, with the manager's own code");
  auto flags = std::make_shared<Flags>();
  verb->add_option("SCENARIO", flags->scenario, "A YAML file with the same names as these flags (with _ for -); flags come on top");
  verb->add_option("--curves", flags->curves, "Loss curves: .txt, .csv, .csv.gz, a run's output folder, or a folder of such files");
  verb->add_option("--policies", flags->policies, "Which to compare (default: fair, sluice)")->delimiter(',');
  for (const auto& [key, words] : kValues) verb->add_option(std::string("--") + key, flags->values[key], words);
  verb->add_option("--csv", flags->csv, "Write the results as a table too");
  verb->add_option("--jobs-csv", flags->jobs_csv, "Write what became of each job as a table");
  verb->add_option("--html", flags->html, "Write a page with plots too, which any browser shows and which needs nothing else");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer(
      "Example:\n  sluice simulate --curves out/A --slots 64 --load 0.8 --speedup concave:0.02 --policies fair,slaq,sluice --seeds 1..5\n"
      "  sluice simulate --arrivals run:out/A --slots 4 --round 500ms --report 200ms --policies fair,sluice");
  verb->callback([flags, &status] { status = simulate_verb(*flags); });
}

}  // namespace sluice::cli
