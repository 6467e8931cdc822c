#include "cli/compare.h"

#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
int compare_verb(const std::vector<std::string>& folders, bool json) {
  std::vector<RunRecord> runs;
  for (const auto& folder : folders) {
    auto run = load_run(folder);
    if (!run) return detail::report(run.error(), json);
    runs.push_back(std::move(*run));
  }
  const auto compared = compare(std::move(runs));
  if (!compared) return detail::report(compared.error(), json);
  const auto printed = detail::print(json ? to_json(*compared) + "\n" : to_text(*compared));
  return printed ? 0 : detail::report(printed.error(), json);
}
}  // namespace

void add_compare(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand(
      "compare", "Shows runs of the same jobs side by side: times to 90 and 95 % over one reference, held-out scores, and what the best of each group came to");
  struct Flags {
    std::vector<std::string> folders;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  verb->add_option("DIR", flags->folders, "Output folders of runs")->required();
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice compare out/A out/B");
  verb->callback([flags, &status] { status = compare_verb(flags->folders, flags->json); });
}

}  // namespace sluice::cli
