#include "worker/plugin/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <mutex>
#include <sstream>

namespace sluice::worker::plugin {
namespace {

constexpr int kHigh = 64;  ///< descriptors are copied up there first, so that none is overwritten before it was put in its place

/// What a library may need to be found and to speak the user's language; nothing that names a cluster.
std::vector<std::string> trimmed_environment() {
  std::vector<std::string> out = {"OPENBLAS_NUM_THREADS=1", "OMP_NUM_THREADS=1", "MKL_NUM_THREADS=1"};
  for (const char* name : {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS"}) {
    if (const char* value = std::getenv(name)) out.push_back(fmt::format("{}={}", name, value));
  }
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

struct Buried {
  std::mutex mutex;
  std::vector<pid_t> pids;
};
Buried& buried() {
  static Buried all;
  return all;
}

}  // namespace

Result<pid_t> start_process(const std::vector<std::string>& command, const std::vector<int>& descriptors, int output) {
  std::vector<int> sources = {output, output};
  sources.insert(sources.end(), descriptors.begin(), descriptors.end());
  std::vector<int> high;
  for (const int fd : sources) high.push_back(::fcntl(fd, F_DUPFD_CLOEXEC, kHigh));
  int error = std::count(high.begin(), high.end(), -1) > 0 ? EMFILE : 0;

  pid_t pid = 0;
  if (error == 0) {
    std::vector<std::string> words = command, environment = trimmed_environment();
    const auto argv = pointers(words), envp = pointers(environment);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    for (std::size_t i = 0; i < high.size(); ++i) ::posix_spawn_file_actions_adddup2(&actions, high[i], static_cast<int>(i) + 1);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, static_cast<int>(high.size()) + 1);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    error = ::posix_spawn(&pid, command.front().c_str(), &actions, &attributes, argv.data(), envp.data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  for (const int fd : high) {
    if (fd >= 0) ::close(fd);
  }
  if (error != 0) return fail(Errc::kIo, fmt::format("a slot process could not be started: {}", std::strerror(error)));
  return pid;
}

void bury(pid_t pid) {
  ::kill(-pid, SIGKILL);  // and what it may have started
  Buried& all = buried();
  const std::lock_guard lock(all.mutex);
  all.pids.push_back(pid);
  std::erase_if(all.pids, [](pid_t each) { return ::waitpid(each, nullptr, WNOHANG) != 0; });
}

std::string end_words(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by SIG{}", sigabbrev_np(WTERMSIG(status)));
  return fmt::format("ended by itself with status {}", WEXITSTATUS(status));
}

double cpu_seconds(pid_t pid) {
  std::ifstream in(fmt::format("/proc/{}/stat", pid));
  std::string text;
  std::getline(in, text);
  const std::size_t name_end = text.rfind(')');  // the program's name may hold anything; field 3 follows it
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace sluice::worker::plugin
