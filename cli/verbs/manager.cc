#include "manager/manager.h"

#include "base/log.h"
#include "cli/detail/print.h"
#include "cli/detail/role_flags.h"
#include "cli/detail/role_process.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
int serve(manager::ManagerOptions options, const detail::RoleFlags& flags) {
  if (const auto allowed = detail::check_role_addresses({options.listen}, flags.insecure_tcp); !allowed) return detail::report(allowed.error(), false);
  return detail::run_role(flags.role("manager"), [&](net::Runtime runtime, std::function<void(const Error&)> on_fatal) {
    options.on_fatal = std::move(on_fatal);
    options.on_ready = [](const std::string& address) { log::info("listening on {}", address); };
    return manager::start_manager(options, runtime);
  });
}
}  // namespace

void add_manager(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("manager", "Runs the manager: membership, slot table, job table, rounds, grants, the decision log");
  struct Flags {
    manager::ManagerOptions options;
    detail::RoleFlags role;
    std::string fairness = manager::to_text(manager::Fairness{});
  };
  auto flags = std::make_shared<Flags>();
  auto& options = flags->options;
  verb->add_option("--listen", options.listen, "Address to listen on: ipc:///path or tcp://host:port")->required();
  verb->add_option("--state", options.state_dir, "Folder of the job table and the decision log; one manager a folder")->required();
  verb->add_option("--out", options.out_dir, "Folder of decisions.jsonl, losses.csv, validations.csv and summary.json (default: the state folder)");
  verb->add_option("--servers", options.servers, "The slot table is made once this many servers have registered")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  verb->add_option("--policy", options.policy, detail::policy_words())->capture_default_str();
  verb->add_option("--fairness", flags->fairness, "How much waiting counts beside loss, under policies that weigh it: 0 to 1, or strict")
      ->check([](const std::string& text) { return manager::parse_fairness(text) ? "" : "must be a number from 0 to 1 or strict"; })
      ->capture_default_str();
  verb->add_option("--round-ms", options.round_ms, "Time between decisions, in milliseconds")->check(CLI::Range(10, 60'000))->capture_default_str();
  verb->add_option("--heartbeat-ms", options.heartbeat_ms, "Time between two heartbeats of a server or worker, in milliseconds")
      ->check(CLI::Range(10, 60'000))
      ->capture_default_str();
  verb->add_option("--suspicion-ms", options.suspicion_ms,
                   "A worker that was not heard for so long is lost, in milliseconds; a server after five times as long; at least two heartbeats")
      ->check(CLI::Range(20, 600'000))
      ->capture_default_str();
  verb->add_option("--keep-ended", options.keep_ended, "Ended jobs that ps and the summary know on, the newest; older ones are forgotten")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  flags->role.add_to(*verb);
  verb->footer("Example:\n  sluice manager --listen tcp://127.0.0.1:7070 --state state --servers 2 --insecure-tcp");
  verb->callback([flags, &status] {
    flags->options.fairness = manager::parse_fairness(flags->fairness).value_or(manager::Fairness{});
    status = serve(flags->options, flags->role);
  });
}

}  // namespace sluice::cli
