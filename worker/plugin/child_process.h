#pragma once
/// The one place where a worker starts a process: a slot process, with descriptors of our choice, a trimmed environment, and nothing else of ours.

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::worker::plugin {

/// Starts command[0] with `descriptors` as 3, 4, …, stdin empty, stdout and stderr going to `output`, all other descriptors closed, in a process group of its
/// own. It must ask by itself to end with its parent (host.h). Returns its pid. Errors: kIo. Any thread; the process ends with that thread.
[[nodiscard]] Result<pid_t> start_process(const std::vector<std::string>& command, const std::vector<int>& descriptors, int output);
/// Kills it and leaves the waiting to later calls: a process may need a while to give its memory back. Any thread.
void bury(pid_t pid);
/// "was killed by SIGSEGV", "ended by itself with status 3": a waitpid() status.
[[nodiscard]] std::string end_words(int status);
/// Processor time that it has used, in seconds; 0 if it can't be read.
[[nodiscard]] double cpu_seconds(pid_t pid);

}  // namespace sluice::worker::plugin
