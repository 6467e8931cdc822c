#include "cli/detail/embedded.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

namespace sluice::cli::detail {
namespace {
std::string manager_address(const SocketFolder& folder) { return "ipc://" + folder.path() + "/manager.sock"; }

/// The kind of error that a role's exit status stands for.
Errc kind_of(int status) {
  if (!WIFEXITED(status)) return Errc::kJobFailed;
  for (const Errc code : {Errc::kBadConfig, Errc::kBadData, Errc::kCannotConnect, Errc::kDenied, Errc::kIo}) {
    if (exit_code(code) == WEXITSTATUS(status)) return code;
  }
  return Errc::kJobFailed;
}
}  // namespace

std::uint32_t cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

EmbeddedCluster::EmbeddedCluster(EmbeddedOptions options, SocketFolder folder, Signals& signals, net::Transport& transport, Clock& clock)
    : options_(std::move(options)), folder_(std::move(folder)), signals_(signals), clock_(clock), manager_(transport, clock, manager_address(folder_)) {}

EmbeddedCluster::~EmbeddedCluster() { stop(); }

Result<void> EmbeddedCluster::start_role(const std::string& role, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--with-parent", std::to_string(::getpid()), "--socket-folder", folder_.path()});
  return children_.start(role, std::move(arguments), options_.out + "/logs/" + role + ".log");
}

Result<void> EmbeddedCluster::start() {
  const std::string& manager = manager_.address();
  // A child that ends is seen at once (lost_role); silence then means a machine that is held up, and some seconds of it are no reason to give a run up.
  auto started =
      start_role("manager", {"manager", "--listen", manager, "--state", options_.out, "--out", options_.out, "--servers", std::to_string(options_.servers),
                             "--policy", options_.policy, "--round-ms", std::to_string(options_.round_ms), "--suspicion-ms", "5000"});
  for (std::uint32_t i = 1; started && i <= options_.servers; ++i) {
    const std::string name = fmt::format("server-{}", i);
    started = start_role(name, {"server", "--name", name, "--manager", manager, "--listen", fmt::format("ipc://{}/{}-{{}}.sock", folder_.path(), name),
                                "--models", options_.out + "/jobs"});
  }
  if (started) started = start_role("worker", {"worker", "--name", "worker", "--manager", manager, "--slots", std::to_string(options_.slots)});
  if (!started) return started;

  const Instant deadline = clock_.now() + from_ms(15'000);
  for (;;) {
    if (auto lost = lost_role()) return fail(std::move(*lost));
    if (signals_.wait({}) == Event::kStop) return fail(Errc::kInterrupted, "interrupted by " + signals_.last());
    const auto answer = manager_.call("ps", Json::object(), from_ms(500));
    if (answer) break;
    if (clock_.now() > deadline)
      return fail(Errc::kTimedOut, fmt::format("the manager did not answer within 15 s: {}; its log: {}/logs/manager.log", answer.error().what, options_.out));
  }
  ready_ = true;
  return {};
}

std::optional<Error> EmbeddedCluster::lost_role() {
  const auto ended = children_.reap();
  if (!ended) return std::nullopt;
  std::string what = fmt::format("the {} process {}; its log: {}", ended->child->role, describe_end(ended->status), ended->child->log);
  if (const std::string words = last_words(ended->child->log); !words.empty()) what += fmt::format("\nits last words: {}", words);
  return Error{ready_ ? Errc::kJobFailed : kind_of(ended->status), std::move(what)};
}

void EmbeddedCluster::stop() {
  children_.stop();
  children_.finish(signals_, clock_, from_ms(5000));
}

}  // namespace sluice::cli::detail
