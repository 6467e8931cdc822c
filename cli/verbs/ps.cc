#include <fmt/format.h>

#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/detail/progress.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
using detail::Json;

std::string text_of(const Json& ps) {
  std::string out = fmt::format("policy {}, {:.0f} worker slots, {} servers, {} workers\n", detail::text(ps, "policy", "?"), detail::number(ps, "slots"),
                                detail::list(ps, "servers").size(), detail::list(ps, "workers").size());
  if (detail::list(ps, "jobs").empty()) return out + "no jobs\n";
  out += detail::live_table(ps, 240, detail::list(ps, "jobs").size(), /*colours=*/false);
  if (const double hidden = detail::number(ps, "jobs_hidden"); hidden > 0) out += fmt::format("and {:.0f} more ended jobs\n", hidden);
  if (const double gone = detail::number(ps, "jobs_forgotten"); gone > 0)
    out += fmt::format("and {:.0f} jobs before them, whose ends the manager has forgotten (--keep-ended)\n", gone);
  for (const auto& problem : detail::list(ps, "problems")) {
    if (problem.is_string()) out += "warning: " + problem.get<std::string>() + "\n";
  }
  return out;
}

Result<void> ps_verb(const detail::ManagerFlags& flags, bool json) {
  if (auto allowed = flags.check(); !allowed) return allowed;
  SystemClock clock;
  net::ZmqTransport transport(clock);
  const auto ps = detail::ManagerClient(transport, clock, flags.address).call("ps");
  if (!ps) return tl::unexpected(ps.error());
  return detail::print(json ? ps->dump() + "\n" : text_of(*ps));
}
}  // namespace

void add_ps(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("ps", "Shows the jobs of a running cluster: what they hold, how fast they are, how good they are");
  struct Flags {
    detail::ManagerFlags manager;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  flags->manager.add_to(*verb);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice ps");
  verb->callback([flags, &status] {
    const auto done = ps_verb(flags->manager, flags->json);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
