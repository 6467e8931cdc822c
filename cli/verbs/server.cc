#include "server/server.h"

#include "cli/detail/print.h"
#include "cli/detail/role_flags.h"
#include "cli/detail/role_process.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
int serve(server::ServerOptions options, const detail::RoleFlags& flags) {
  if (const auto allowed = detail::check_role_addresses({options.manager, options.listen}, flags.insecure_tcp); !allowed)
    return detail::report(allowed.error(), false);
  options.manager_patience_ms = flags.manager_patience_ms();
  return detail::run_role(flags.role(options.name), [&](net::Runtime runtime, std::function<void(const Error&)> on_fatal) {
    options.on_fatal = std::move(on_fatal);
    return server::start_server(options, runtime);
  });
}
}  // namespace

void add_server(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("server", "Runs a parameter server: lanes that hold shards and job homes");
  struct Flags {
    server::ServerOptions options;
    detail::RoleFlags role;
  };
  auto flags = std::make_shared<Flags>();
  auto& options = flags->options;
  verb->add_option("--manager", options.manager, "The manager's address")->required()->envname("SLUICE_MANAGER");
  verb->add_option("--listen", options.listen, "Address of the lanes, {} is the lane's number: tcp://host:* or ipc:///dir/name-{}.sock")->required();
  verb->add_option("--name", options.name, "Name, unique in the cluster: a-z 0-9 . _ -")->required();
  verb->add_option("--lanes", options.lanes, "Threads that own shards")->check(CLI::Range(1, 256))->capture_default_str();
  verb->add_option("--models", options.models,
                   "Folder for the values of finished jobs, one folder a job; sluice export puts them together (default: they are freed)");
  flags->role.add_to(*verb);
  verb->footer("Example:\n  sluice server --name server-1 --manager tcp://127.0.0.1:7070 --listen 'tcp://127.0.0.1:*' --insecure-tcp");
  verb->callback([flags, &status] { status = serve(flags->options, flags->role); });
}

}  // namespace sluice::cli
