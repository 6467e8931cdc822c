#pragma once
/// The life of a role process: seams, start, signals, an end within bounded time.

#include <functional>
#include <string>

#include "base/result.h"
#include "net/runtime.h"

namespace sluice::cli::detail {

struct RoleOptions {
  std::string role;  ///< for the log
  bool json_log = false;
  int parent = 0;  ///< pid: end when this process is no longer the parent (an embedded cluster's `run`); 0: none
  /// Of an embedded cluster: made (0700) at the start, removed at the end if the parent is gone, for then nobody else does. Made by the roles and not by `run`,
  /// so that it never exists without a process that would remove it. Of a cluster of `up`: made likewise, and removed by `down`.
  std::string socket_folder;
  Duration patience = from_ms(3000);  ///< from the first signal to a hard end; a second signal ends at once
};

/// Starts the role through `start` (which gets the callback for its fatal errors) and blocks until it has ended by itself, by a signal or by a fatal error.
/// Returns the process's exit status: 0 after a signal or an end of its own, else that of the error, which was printed.
[[nodiscard]] int run_role(const RoleOptions& options, const std::function<Result<void>(net::Runtime, std::function<void(const Error&)>)>& start);

/// kDenied unless all tcp:// addresses were allowed by --insecure-tcp; calls `warn` with a sentence if they were.
[[nodiscard]] Result<void> check_addresses(const std::vector<std::string>& addresses, bool insecure_tcp, const std::function<void(const std::string&)>& warn);
/// For a role: warns in its log. For a client verb: on stderr.
[[nodiscard]] Result<void> check_role_addresses(const std::vector<std::string>& addresses, bool insecure_tcp);
[[nodiscard]] Result<void> check_client_address(const std::string& address, bool insecure_tcp);

}  // namespace sluice::cli::detail
