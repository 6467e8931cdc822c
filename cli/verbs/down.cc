#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/detail/folders.h"
#include "cli/detail/local_cluster.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
using detail::Json;
using detail::LocalCluster;

constexpr Duration kEndPatience = from_ms(5000);

/// Of the cluster's manager, if it answers.
std::size_t unfinished_jobs(const LocalCluster& cluster, Clock& clock) {
  net::ZmqTransport transport(clock);
  const auto ps = detail::ManagerClient(transport, clock, cluster.manager()).call("ps", Json::object(), from_ms(1000));
  if (!ps) return 0;
  const auto& jobs = detail::list(*ps, "jobs");
  return static_cast<std::size_t>(std::count_if(jobs.begin(), jobs.end(), [](const Json& job) { return !detail::is_over(detail::text(job, "state")); }));
}

struct Ended {
  std::vector<std::string> roles;
  std::vector<std::string> killed;  ///< those of them that did not end when asked
  std::size_t unfinished = 0;
};

/// Ends the worker first, for it finishes its batches with the servers' help; then the manager, which writes its files while the servers still are what it
/// knows; then all else.
Ended end(const LocalCluster& cluster) {
  Ended out;
  SystemClock clock;
  out.unfinished = unfinished_jobs(cluster, clock);
  std::vector<detail::ProcessId> worker, manager, others = cluster.strays();
  const auto alive = cluster.alive();
  for (const auto& role : alive) {
    out.roles.push_back(role.role);
    (role.role == "worker" ? worker : role.role == "manager" ? manager : others).push_back(role.process);
  }
  detail::Signals signals;
  std::vector<detail::ProcessId> killed;
  for (const auto& some : {worker, manager, others}) {
    const auto more = detail::end_all(some, signals, clock, kEndPatience);
    killed.insert(killed.end(), more.begin(), more.end());
  }
  for (const auto& role : alive)
    if (std::find(killed.begin(), killed.end(), role.process) != killed.end()) out.killed.push_back(role.role);
  return out;
}

Result<void> down(const std::string& dir_flag, bool json) {
  std::error_code error;
  const std::string dir = std::filesystem::absolute(dir_flag.empty() ? detail::state_folder() : dir_flag, error).lexically_normal().string();
  detail::ClusterLock lock;
  const bool there = std::filesystem::is_directory(dir, error);
  if (there) {
    if (auto taken = lock.take(dir); !taken) return taken;
  }
  const auto cluster = there ? detail::read_local_cluster(dir) : Result<std::optional<LocalCluster>>(std::nullopt);
  if (!cluster) return tl::unexpected(cluster.error());
  Ended ended;
  if (*cluster) {
    ended = end(**cluster);
    if (!(*cluster)->alive().empty()) return fail(Errc::kTimedOut, fmt::format("not all processes of the cluster in {} could be ended; try again", dir));
    detail::forget_local_cluster(**cluster);
  }
  if (json) {
    return detail::print(Json{{"version", 1}, {"dir", dir}, {"ended", ended.roles}, {"killed", ended.killed}, {"unfinished_jobs", ended.unfinished}}.dump() +
                         "\n");
  }
  for (const auto& role : ended.killed) detail::note(fmt::format("warning: the {} did not end within 5 s and was killed", role));
  if (ended.unfinished > 0)
    detail::note(fmt::format("{} job{} not over: the next sluice up with this folder begins {} anew, for what the servers held is gone", ended.unfinished,
                             ended.unfinished == 1 ? " is" : "s are", ended.unfinished == 1 ? "it" : "them"));
  if (!*cluster) return detail::print(fmt::format("nothing is up in {}\n", dir));
  if (ended.roles.empty()) return detail::print(fmt::format("down: nothing of it ran any more; files stay in {}\n", dir));
  return detail::print(fmt::format("down: {} processes have ended; files stay in {}\n", ended.roles.size(), dir));
}
}  // namespace

void add_down(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("down", "Ends the cluster that sluice up started; its files stay");
  struct DownFlags {
    std::string dir;
    bool json = false;
  };
  auto flags = std::make_shared<DownFlags>();
  verb->add_option("--dir", flags->dir, "Folder that sluice up was given (default: $XDG_STATE_HOME/sluice or ~/.local/state/sluice)");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice down --dir /srv/sluice");
  verb->callback([flags, &status] {
    const auto done = down(flags->dir, flags->json);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
