#pragma once
/// The embedded cluster of `run`: manager, servers and one worker as child processes of this one, talking over ipc in a private folder.

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cli/detail/children.h"
#include "cli/detail/client.h"
#include "cli/detail/folders.h"
#include "cli/detail/signals.h"
#include "net/transport.h"

namespace sluice::cli::detail {

struct EmbeddedOptions {
  std::uint32_t servers = 1;
  std::uint32_t slots = 1;
  std::string policy;
  std::uint32_t round_ms = 500;
  std::string out;  ///< exists, with logs/
};

/// Main thread. Destruction ends all processes and removes the folder of the sockets.
class EmbeddedCluster {
 public:
  EmbeddedCluster(EmbeddedOptions options, SocketFolder folder, Signals& signals, net::Transport& transport, Clock& clock);
  ~EmbeddedCluster();

  /// Starts the processes and waits until the manager answers. Errors: kInterrupted, the words and status of a role that ended, kTimedOut.
  [[nodiscard]] Result<void> start();
  /// A role that has ended though nobody asked it to, in words: which, by what signal, and where its log is.
  [[nodiscard]] std::optional<Error> lost_role();
  /// Ends all processes in order: the manager writes its files first. At most ~5 s.
  void stop();
  [[nodiscard]] ManagerClient& manager() { return manager_; }

 private:
  [[nodiscard]] Result<void> start_role(const std::string& role, std::vector<std::string> arguments);
  EmbeddedOptions options_;
  SocketFolder folder_;
  Signals& signals_;
  Clock& clock_;
  Children children_;
  ManagerClient manager_;
  bool ready_ = false;
};

/// Cores this process may run on.
[[nodiscard]] std::uint32_t cores();

}  // namespace sluice::cli::detail
