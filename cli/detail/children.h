#pragma once
/// The role processes that `run` starts: this same binary, each in its own process group (a terminal's Ctrl-C reaches only `run`, which ends them in order),
/// its output in a log file.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/detail/signals.h"

namespace sluice::cli::detail {

struct Child {
  std::string role;  ///< "manager", "server-1", "worker"
  std::string log;   ///< path
  pid_t pid = 0;
  bool running = false;
};

/// How one ended. status as waitpid() gives it.
struct Ended {
  const Child* child;
  int status;
};
/// "was killed by SIGKILL", "ended with status 4".
[[nodiscard]] std::string describe_end(int status);

class Children {
 public:
  /// Kills and reaps what still runs.
  ~Children();
  /// Starts `arguments` (of this binary) with stdout and stderr appended to `log`. `own_session`: it is meant to outlive this process and its terminal.
  /// Returns its pid. Errors: kIo (the log or the process could not be made).
  [[nodiscard]] Result<pid_t> start(const std::string& role, std::vector<std::string> arguments, const std::string& log, bool own_session = false);
  /// Leaves all that run to themselves.
  void release() { children_.clear(); }
  /// The next child that has ended and was not told of yet.
  [[nodiscard]] std::optional<Ended> reap();
  /// SIGTERM to all that still run.
  void stop() const;
  [[nodiscard]] bool any_running() const;
  /// Waits for the end of all, and kills what is left after `patience`.
  void finish(Signals& signals, Clock& clock, Duration patience);

 private:
  void kill_all(int signal) const;
  std::vector<Child> children_;
};

/// The last line of a log that says "error", or its last line; empty if there is none.
[[nodiscard]] std::string last_words(const std::string& log);

}  // namespace sluice::cli::detail
