#include "cli/detail/children.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace sluice::cli::detail {

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by SIG{}", sigabbrev_np(WTERMSIG(status)));
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

Children::~Children() {
  kill_all(SIGKILL);
  for (auto& child : children_) {
    if (child.running) ::waitpid(child.pid, nullptr, 0);
  }
}

Result<pid_t> Children::start(const std::string& role, std::vector<std::string> arguments, const std::string& log, bool own_session) {
  const int log_fd = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log_fd < 0) return fail(Errc::kIo, fmt::format("{}: can't be written: {}", log, std::strerror(errno)));
  arguments.insert(arguments.begin(), "sluice");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, log_fd, 1);
  ::posix_spawn_file_actions_adddup2(&actions, log_fd, 2);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  const int group = own_session ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP;
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(group | POSIX_SPAWN_SETSIGMASK));
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(log_fd);
  if (error != 0) return fail(Errc::kIo, fmt::format("the {} process could not be started: {}", role, std::strerror(error)));
  children_.push_back({role, log, pid, true});
  return pid;
}

std::optional<Ended> Children::reap() {
  for (auto& child : children_) {
    int status = 0;
    if (!child.running || ::waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    child.running = false;
    return Ended{&child, status};
  }
  return std::nullopt;
}

void Children::kill_all(int signal) const {
  for (const auto& child : children_) {
    if (child.running) ::kill(child.pid, signal);
  }
}
void Children::stop() const { kill_all(SIGTERM); }

bool Children::any_running() const {
  for (const auto& child : children_) {
    if (child.running) return true;
  }
  return false;
}

void Children::finish(Signals& signals, Clock& clock, Duration patience) {
  const Instant deadline = clock.now() + patience;
  bool killed = false;
  while (any_running()) {
    while (reap()) {}
    if (!any_running()) return;
    if (!killed && clock.now() >= deadline) {
      kill_all(SIGKILL);
      killed = true;
    }
    (void)signals.wait(from_ms(20));  // SIGCHLD ends it early
  }
}

std::string last_words(const std::string& log) {
  std::ifstream in(log);
  std::string last;
  std::string last_error;
  for (std::string line; std::getline(in, line);) {
    if (line.empty()) continue;
    last = line;
    if (line.find("error") != std::string::npos) last_error = line;
  }
  return last_error.empty() ? last : last_error;
}

}  // namespace sluice::cli::detail
