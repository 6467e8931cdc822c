#include "cli/detail/embedded.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "base/host.h"

namespace sluice::cli::detail {
namespace {
// `run` sees a child that ends at once; silence then means a machine that is held up, and some seconds of it are no reason to give a run up. Nobody watches a
// cluster of `up`: silence is all that tells of an end.
constexpr std::uint32_t kSuspicionMs = 5000, kSuspicionStaysMs = 2000;

/// The kind of error that a role's exit status stands for.
Errc kind_of(int status) {
  if (!WIFEXITED(status)) return Errc::kJobFailed;
  for (const Errc code : {Errc::kBadConfig, Errc::kBadData, Errc::kCannotConnect, Errc::kDenied, Errc::kIo}) {
    if (exit_code(code) == WEXITSTATUS(status)) return code;
  }
  return Errc::kJobFailed;
}
}  // namespace

std::string manager_address(const std::string& sockets) { return "ipc://" + sockets + "/manager.sock"; }

std::vector<RoleCommand> role_commands(const EmbeddedOptions& o, const std::string& sockets) {
  const std::string manager = manager_address(sockets);
  std::vector<RoleCommand> out;
  out.push_back({"manager",
                 {"manager", "--listen", manager, "--state", o.out, "--out", o.out, "--servers", std::to_string(o.servers), "--policy", o.policy, "--round-ms",
                  std::to_string(o.round_ms), "--fairness", o.fairness, "--keep-ended", std::to_string(o.keep_ended), "--suspicion-ms",
                  std::to_string(o.stays ? kSuspicionStaysMs : kSuspicionMs)}});
  for (std::uint32_t i = 1; i <= o.servers; ++i) {
    const std::string name = fmt::format("server-{}", i);
    out.push_back({name,
                   {"server", "--name", name, "--manager", manager, "--listen", fmt::format("ipc://{}/{}-{{}}.sock", sockets, name), "--memory",
                    std::to_string(host_memory_bytes() / 4 * 3 / o.servers), "--models", o.out + "/jobs"}});
  }
  out.push_back({"worker", {"worker", "--name", "worker", "--manager", manager, "--slots", std::to_string(o.slots)}});
  for (auto& [role, arguments] : out) {
    if (!o.stays) arguments.insert(arguments.end(), {"--with-parent", std::to_string(::getpid())});
    arguments.insert(arguments.end(), {"--socket-folder", sockets});
  }
  return out;
}

std::uint32_t cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return static_cast<std::uint32_t>(std::max(1, CPU_COUNT(&set)));
}

EmbeddedCluster::EmbeddedCluster(EmbeddedOptions options, SocketFolder folder, Signals& signals, net::Transport& transport, Clock& clock)
    : options_(std::move(options)), folder_(std::move(folder)), signals_(signals), clock_(clock), manager_(transport, clock, manager_address(folder_.path())) {}

EmbeddedCluster::~EmbeddedCluster() { stop(); }

Result<void> EmbeddedCluster::start(const std::set<std::string>& there, const Started& started) {
  for (auto& [role, arguments] : role_commands(options_, folder_.path())) {
    if (there.contains(role)) continue;
    const auto pid = children_.start(role, std::move(arguments), options_.out + "/logs/" + role + ".log", options_.stays);
    if (!pid) return tl::unexpected(pid.error());
    if (!started) continue;
    if (auto told = started(role, *pid); !told) return told;
  }
  if (auto answers = await_manager(); !answers) return answers;
  ready_ = true;
  return {};
}

Result<void> EmbeddedCluster::await_manager() {
  const Instant deadline = clock_.now() + from_ms(15'000);
  for (;;) {
    if (auto lost = lost_role()) return fail(std::move(*lost));
    if (signals_.wait({}) == Event::kStop) return fail(Errc::kInterrupted, "interrupted by " + signals_.last());
    const auto answer = manager_.call("ps", Json::object(), from_ms(500));
    if (answer) return {};
    if (clock_.now() > deadline)
      return fail(Errc::kTimedOut, fmt::format("the manager did not answer within 15 s: {}; its log: {}/logs/manager.log", answer.error().what, options_.out));
  }
}

std::optional<Error> EmbeddedCluster::lost_role() {
  const auto ended = children_.reap();
  if (!ended) return std::nullopt;
  std::string what = fmt::format("the {} process {}; its log: {}", ended->child->role, describe_end(ended->status), ended->child->log);
  if (const std::string words = last_words(ended->child->log); !words.empty()) what += fmt::format("\nits last words: {}", words);
  return Error{ready_ ? Errc::kJobFailed : kind_of(ended->status), std::move(what)};
}

void EmbeddedCluster::release() {
  children_.release();
  folder_.keep();
}

void EmbeddedCluster::stop() {
  children_.stop();
  children_.finish(signals_, clock_, from_ms(5000));
}

}  // namespace sluice::cli::detail
