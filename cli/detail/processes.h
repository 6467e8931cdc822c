#pragma once
/// Processes that are no children of this one: which they are beyond doubt, and their end.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/detail/signals.h"

namespace sluice::cli::detail {

/// A pid is given to another process some day; a pid with its process's start and the host's boot is not.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;  ///< in the kernel's ticks since the boot
  std::string boot;
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

/// Who has this pid now; nothing if nobody has, or one that has ended and only waits to be reaped.
[[nodiscard]] std::optional<ProcessId> identify(pid_t pid);
/// True while exactly this process runs.
[[nodiscard]] bool runs(const ProcessId& process);

/// Processes of this user, other than this one, that have these, one after another, among the arguments they were started with.
[[nodiscard]] std::vector<ProcessId> with_arguments(const std::vector<std::string>& arguments);

/// Asks all to end (SIGTERM), waits, and kills what still runs after `patience`. Returns those that had to be killed. Main thread; `signals` only makes it
/// patient.
std::vector<ProcessId> end_all(const std::vector<ProcessId>& processes, Signals& signals, Clock& clock, Duration patience);

}  // namespace sluice::cli::detail
