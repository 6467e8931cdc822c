#include "worker/worker.h"

#include "cli/detail/folders.h"
#include "cli/detail/print.h"
#include "cli/detail/role_flags.h"
#include "cli/detail/role_process.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
int serve(worker::WorkerOptions options, const detail::RoleFlags& flags) {
  if (const auto allowed = detail::check_role_addresses({options.manager}, flags.insecure_tcp); !allowed) return detail::report(allowed.error(), false);
  if (options.cache_dir.empty()) options.cache_dir = detail::cache_folder();
  options.manager_patience_ms = flags.manager_patience_ms();
  return detail::run_role(flags.role(options.name), [&](net::Runtime runtime, std::function<void(const Error&)> on_fatal) {
    options.on_fatal = std::move(on_fatal);
    return worker::start_worker(options, worker::builtin_models(), runtime);
  });
}
}  // namespace

void add_worker(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("worker", "Runs a worker: a pool of worker slots that train what the manager grants");
  struct Flags {
    worker::WorkerOptions options;
    detail::RoleFlags role;
  };
  auto flags = std::make_shared<Flags>();
  auto& options = flags->options;
  verb->add_option("--manager", options.manager, "The manager's address")->required()->envname("SLUICE_MANAGER");
  verb->add_option("--name", options.name, "Name, unique in the cluster: a-z 0-9 . _ -")->required();
  verb->add_option("--slots", options.slots, "Worker slots: rights to a core")->check(CLI::Range(1, 256))->capture_default_str();
  verb->add_option("--cache", options.cache_dir, "Folder of converted data (default: $XDG_CACHE_HOME/sluice or ~/.cache/sluice)");
  flags->role.add_to(*verb);
  verb->footer("Example:\n  sluice worker --name worker-1 --slots 2 --manager tcp://127.0.0.1:7070 --insecure-tcp");
  verb->callback([flags, &status] { status = serve(flags->options, flags->role); });
}

}  // namespace sluice::cli
