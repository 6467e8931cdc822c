#pragma once
/// The embedded cluster of `run`: manager, servers and one worker as child processes of this one, talking over ipc in a private folder.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/detail/children.h"
#include "cli/detail/client.h"
#include "cli/detail/folders.h"
#include "cli/detail/signals.h"
#include "manager/policy.h"
#include "net/transport.h"

namespace sluice::cli::detail {

struct EmbeddedOptions {
  std::uint32_t servers = 1;
  std::uint32_t slots = 1;
  std::string policy;
  std::uint32_t round_ms = 500;
  std::string out;                ///< exists, with logs/
  bool stays = false;             ///< the roles are meant to outlive this process (`up`): they have sessions of their own
  std::string fairness = manager::to_text(manager::Fairness{});  ///< manager::parse_fairness
  std::uint32_t keep_ended = 1000;
};

/// Main thread. Destruction ends all processes that it started and removes the folder of the sockets.
class EmbeddedCluster {
 public:
  EmbeddedCluster(EmbeddedOptions options, SocketFolder folder, Signals& signals, net::Transport& transport, Clock& clock);
  ~EmbeddedCluster();

  /// Called for each process as soon as there is one, by role and pid.
  using Started = std::function<Result<void>(const std::string& role, pid_t pid)>;
  /// Starts the processes but those of the roles in `there`, and waits until the manager answers. Errors: kInterrupted, the words and status of a role that
  /// ended, kTimedOut, those of `started`.
  [[nodiscard]] Result<void> start(const std::set<std::string>& there = {}, const Started& started = {});
  /// A role that has ended though nobody asked it to, in words: which, by what signal, and where its log is.
  [[nodiscard]] std::optional<Error> lost_role();
  /// Ends all processes in order: the manager writes its files first. At most ~5 s.
  void stop();
  /// From now on the processes and the folder are left to themselves.
  void release();
  [[nodiscard]] ManagerClient& manager() { return manager_; }

 private:
  [[nodiscard]] Result<void> await_manager();
  EmbeddedOptions options_;
  SocketFolder folder_;
  Signals& signals_;
  Clock& clock_;
  Children children_;
  ManagerClient manager_;
  bool ready_ = false;
};

/// One role process: its name ("manager", "server-1", "worker") and the arguments of this binary that make it.
struct RoleCommand {
  std::string role;
  std::vector<std::string> arguments;
};
/// The processes of such a cluster, the manager first; `sockets`: the folder of their sockets.
[[nodiscard]] std::vector<RoleCommand> role_commands(const EmbeddedOptions& options, const std::string& sockets);
/// The address of the manager with its sockets in that folder.
[[nodiscard]] std::string manager_address(const std::string& sockets);

/// Cores this process may run on.
[[nodiscard]] std::uint32_t cores();

}  // namespace sluice::cli::detail
