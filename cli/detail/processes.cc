#include "cli/detail/processes.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/host.h"

namespace sluice::cli::detail {
namespace fs = std::filesystem;
namespace {

constexpr Duration kLookAgain = from_ms(20);
constexpr Duration kKilledWithin = from_ms(2000);

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// State and start time of /proc/PID/stat: "PID (any name) S … ", the start is the 22nd field (proc(5)).
bool read_stat(pid_t pid, char& state, std::uint64_t& start) {
  const std::string stat = content(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return false;
  std::istringstream rest(stat.substr(name_end + 1));
  std::string skipped;
  if (!(rest >> state)) return false;
  for (int field = 4; field < 22; ++field)
    if (!(rest >> skipped)) return false;
  return static_cast<bool>(rest >> start);
}

void signal_all(const std::vector<ProcessId>& processes, int signal) {
  for (const auto& process : processes)
    if (runs(process)) ::kill(process.pid, signal);
}

/// True if all have ended by `deadline`.
bool await_end(const std::vector<ProcessId>& processes, Signals& signals, Clock& clock, Instant deadline) {
  while (std::any_of(processes.begin(), processes.end(), runs)) {
    if (clock.now() >= deadline) return false;
    (void)signals.wait(kLookAgain);
  }
  return true;
}

}  // namespace

std::optional<ProcessId> identify(pid_t pid) {
  char state = 0;
  ProcessId out{pid, 0, boot_id()};
  if (pid <= 0 || !read_stat(pid, state, out.start) || state == 'Z' || state == 'X') return std::nullopt;
  return out;
}

bool runs(const ProcessId& process) { return identify(process.pid) == process; }

std::vector<ProcessId> with_arguments(const std::vector<std::string>& arguments) {
  std::vector<ProcessId> out;
  std::string wanted(1, '\0');
  for (const auto& argument : arguments) wanted += argument + '\0';
  std::error_code error;
  for (fs::directory_iterator entry("/proc", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const auto pid = static_cast<pid_t>(std::strtol(name.c_str(), nullptr, 10));
    struct stat owner {};
    if (pid == ::getpid() || ::stat(entry->path().c_str(), &owner) != 0 || owner.st_uid != ::geteuid()) continue;
    if (('\0' + content(entry->path().string() + "/cmdline")).find(wanted) == std::string::npos) continue;
    if (const auto process = identify(pid)) out.push_back(*process);
  }
  return out;
}

std::vector<ProcessId> end_all(const std::vector<ProcessId>& processes, Signals& signals, Clock& clock, Duration patience) {
  signal_all(processes, SIGTERM);
  std::vector<ProcessId> killed;
  if (await_end(processes, signals, clock, clock.now() + patience)) return killed;
  std::copy_if(processes.begin(), processes.end(), std::back_inserter(killed), runs);
  signal_all(killed, SIGKILL);
  (void)await_end(killed, signals, clock, clock.now() + kKilledWithin);
  return killed;
}

}  // namespace sluice::cli::detail
