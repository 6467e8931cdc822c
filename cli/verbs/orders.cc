/// cancel, pause, resume: orders about jobs by name. They differ in their words alone.
#include "cli/detail/orders.h"

#include <fmt/format.h>

#include "cli/detail/manager_flags.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
void add_order(CLI::App& app, int& status, const std::string& name, const std::string& what) {
  auto* verb = app.add_subcommand(name, what);
  struct Flags {
    detail::ManagerFlags manager;
    std::vector<std::string> jobs;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  verb->add_option("JOB", flags->jobs, "Names of jobs, as sluice ps shows them; none is touched if one is not known")->required();
  flags->manager.add_to(*verb);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer(fmt::format("Example:\n  sluice {} mlp-3 mlp-4", name));
  verb->callback([flags, name, &status] { status = detail::order(flags->manager, name, {{"jobs", flags->jobs}}, flags->json); });
}
}  // namespace

void add_cancel(CLI::App& app, int& status) {
  add_order(app, status, "cancel", "Ends jobs: their worker slots go to others at once, and the servers forget them; to cancel an ended job does nothing");
}
void add_pause(CLI::App& app, int& status) {
  add_order(app, status, "pause", "Takes jobs' worker slots away until they are resumed; what they have learnt stays on the servers");
}
void add_resume(CLI::App& app, int& status) { add_order(app, status, "resume", "Lets paused jobs have worker slots again; they go on where they were"); }

}  // namespace sluice::cli
