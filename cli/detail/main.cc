/// The sluice binary: parses, calls a verb, returns its status.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace {

/// The first argument that looks like a verb but is none.
std::string unknown_verb(const CLI::App& app, int argc, char** argv) {
  if (argc < 2 || argv[1][0] == '-') return {};
  std::vector<std::string> known;
  for (const auto* verb : app.get_subcommands([](const CLI::App*) { return true; })) known.push_back(verb->get_name());
  for (const auto& name : known) {
    if (name == argv[1]) return {};
  }
  return sluice::text::unknown_name("verb", argv[1], known);
}

int run(int argc, char** argv) {
  CLI::App app("Sluice trains many models at once on shared machines; a manager keeps opening the gate for the job that gains most.", "sluice");
  app.set_version_flag("--version", std::string("sluice ") + SLUICE_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Example:\n  sluice run examples/sweep.yaml\n\nExit status: 0 ok, 1 a job failed, 2 bad configuration, 3 bad data, 4 cannot connect or listen, 5 "
      "denied,\n"
      "6 can never be placed, 7 timed out, 8 partly done, 70 our bug, 130 interrupted.");
  int status = 0;
  namespace verbs = sluice::cli;
  for (const auto add :
       {verbs::add_run,          verbs::add_manager,  verbs::add_server,     verbs::add_worker,  verbs::add_submit, verbs::add_ps,   verbs::add_explain,
        verbs::add_cancel,       verbs::add_pause,    verbs::add_resume,     verbs::add_set,     verbs::add_logs,   verbs::add_up,   verbs::add_down,
        verbs::add_compare,      verbs::add_report,   verbs::add_export,     verbs::add_predict, verbs::add_eval,   verbs::add_data, verbs::add_model,
        verbs::add_slot_process, verbs::add_simulate, verbs::add_checkpoint, verbs::add_restore, verbs::add_replay}) {
    add(app, status);
  }
  if (const std::string words = unknown_verb(app, argc, argv); !words.empty()) return sluice::cli::detail::report({sluice::Errc::kBadConfig, words}, false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto verbs = app.get_subcommands();
    (void)sluice::cli::detail::print(verbs.empty() ? app.help() : verbs.front()->help());
  } catch (const CLI::CallForVersion&) {
    (void)sluice::cli::detail::print(std::string("sluice ") + SLUICE_VERSION + "\n");
  } catch (const CLI::ParseError& error) {
    const auto verbs = app.get_subcommands();
    const std::string help = verbs.empty() ? "sluice --help" : "sluice " + verbs.front()->get_name() + " --help";
    return sluice::cli::detail::report({sluice::Errc::kBadConfig, fmt::format("{} (see {})", error.what(), help)}, false);
  }
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    return sluice::cli::detail::report({sluice::Errc::kInternal, fmt::format("{}: a mistake of ours; please report it", error.what())}, false);
  }
}
