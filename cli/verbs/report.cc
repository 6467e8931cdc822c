#include "cli/report.h"

#include <fmt/format.h>

#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
int report_verb(const std::vector<std::string>& folders, const std::string& out, bool json) {
  const auto written = write_report(folders, out.empty() ? default_report(folders) : out);
  if (!written) return detail::report(written.error(), json);
  for (const auto& note : written->notes) detail::note("warning: " + note);
  const nlohmann::json document = {{"version", 1}, {"report", written->path}, {"bytes", written->bytes}, {"notes", written->notes}};
  const auto printed = detail::print(json ? document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n" : written->path + "\n");
  return printed ? 0 : detail::report(printed.error(), json);
}
}  // namespace

void add_report(CLI::App& app, int& status) {
  auto* verb =
      app.add_subcommand("report", "Writes a page about a run, or about several side by side, that any browser shows: losses, worker slots, decisions and why");
  struct Flags {
    std::vector<std::string> folders;
    std::string out;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  verb->add_option("DIR", flags->folders, "Output folders of runs; one that goes on or was killed gives what is there")->required();
  verb->add_option("--out", flags->out, "The page (default: report.html in the only DIR, comparison.html in the first of several)");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice report out/A out/B --out both.html");
  verb->callback([flags, &status] { status = report_verb(flags->folders, flags->out, flags->json); });
}

}  // namespace sluice::cli
