#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <set>

#include "base/rng.h"
#include "cli/detail/embedded.h"
#include "cli/detail/folders.h"
#include "cli/detail/local_cluster.h"
#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"
#include "manager/policy.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
using detail::Json;
using detail::LocalCluster;

/// A server is known to be gone after ten seconds of silence (detail/embedded.cc, docs/adr/0007).
constexpr Duration kMembersWithin = from_ms(30'000);

struct UpFlags {
  std::string dir;
  std::string slots;
  std::optional<std::uint32_t> servers;
  std::optional<std::uint32_t> round_ms, keep_ended;
  std::string policy, fairness;
  bool json = false;
};

/// The options that the flags give over `options`. Errors: kBadConfig.
Result<detail::EmbeddedOptions> with_flags(detail::EmbeddedOptions options, const UpFlags& flags) {
  options.servers = flags.servers.value_or(options.servers);
  options.round_ms = flags.round_ms.value_or(options.round_ms);
  options.keep_ended = flags.keep_ended.value_or(options.keep_ended);
  if (!flags.policy.empty()) options.policy = flags.policy;
  if (!flags.fairness.empty()) options.fairness = flags.fairness;
  if (!manager::parse_fairness(options.fairness))
    return fail(Errc::kBadConfig, fmt::format("--fairness must be a number from 0 to 1 or strict, not '{}'", options.fairness));
  if (const auto known = manager::builtin_policies().find(options.policy); !known) return tl::unexpected(known.error());
  if (flags.slots.empty()) return options;
  options.slots = flags.slots == "auto" ? detail::cores() : 0;
  const char* end = flags.slots.data() + flags.slots.size();
  if (options.slots == 0 && (std::from_chars(flags.slots.data(), end, options.slots).ptr != end || options.slots < 1 || options.slots > 256))
    return fail(Errc::kBadConfig, fmt::format("--slots must be auto (one a core) or a number from 1 to 256, not '{}'", flags.slots));
  return options;
}

std::string described(const detail::EmbeddedOptions& o) {
  return fmt::format("{} worker slot{}, {} server{}, policy {}, fairness {}, a round of {} ms, the newest {} ended jobs kept", o.slots, o.slots == 1 ? "" : "s",
                     o.servers, o.servers == 1 ? "" : "s", o.policy, o.fairness, o.round_ms, o.keep_ended);
}

/// Until all servers and the worker take part. Errors: kInterrupted, a role that ended, kTimedOut.
Result<void> await_members(detail::EmbeddedCluster& cluster, const detail::EmbeddedOptions& options, detail::Signals& signals, Clock& clock) {
  const Instant deadline = clock.now() + kMembersWithin;
  for (;;) {
    if (auto lost = cluster.lost_role()) return fail(std::move(*lost));
    const auto ps = cluster.manager().call("ps", Json::object(), from_ms(1000));
    std::uint32_t servers = 0;
    for (const auto& server : ps ? detail::list(*ps, "servers") : Json::array()) servers += server.value("alive", false) ? 1 : 0;
    if (ps && servers >= options.servers && !detail::list(*ps, "workers").empty()) return {};
    if (clock.now() > deadline)
      return fail(Errc::kTimedOut, fmt::format("{} of {} servers and {} are there after {:g} s; the logs: {}/logs", servers, options.servers,
                                               ps && !detail::list(*ps, "workers").empty() ? "a worker" : "no worker", kMembersWithin.seconds(), options.out));
    if (signals.wait(from_ms(50)) == detail::Event::kStop) return fail(Errc::kInterrupted, "interrupted by " + signals.last());
  }
}

/// A member that was killed is one until it was silent for long enough; a new process under its name would be turned away until then. Waits until the manager
/// knows that those of the cluster's members which `there` has not are gone, if it lives. Errors: kInterrupted; never because it takes long.
Result<void> await_losses(const LocalCluster& cluster, const std::set<std::string>& there, detail::Signals& signals, Clock& clock) {
  if (!there.contains("manager")) return {};
  net::ZmqTransport transport(clock);
  detail::ManagerClient manager(transport, clock, cluster.manager());
  const auto member = [&](const Json& one) { return one.value("alive", false) && !there.contains(detail::text(one, "name")); };
  const Instant deadline = clock.now() + kMembersWithin;
  while (clock.now() < deadline) {
    const auto ps = manager.call("ps", Json::object(), from_ms(1000));
    if (!ps) return {};
    const auto &servers = detail::list(*ps, "servers"), &workers = detail::list(*ps, "workers");
    if (std::none_of(servers.begin(), servers.end(), member) && std::none_of(workers.begin(), workers.end(), member)) return {};
    if (signals.wait(from_ms(100)) == detail::Event::kStop) return fail(Errc::kInterrupted, "interrupted by " + signals.last());
  }
  return {};
}

/// Starts the roles that `cluster` does not have, and writes each down. What was started is ended again if anything goes wrong.
Result<void> start(LocalCluster& cluster, detail::Signals& signals, Clock& clock) {
  std::set<std::string> there;
  for (const auto& role : cluster.roles) there.insert(role.role);
  net::ZmqTransport transport(clock);
  detail::EmbeddedCluster roles(cluster.options, detail::SocketFolder(cluster.sockets), signals, transport, clock);
  auto done = detail::write_local_cluster(cluster);
  if (done) done = await_losses(cluster, there, signals, clock);
  if (done)
    done = roles.start(there, [&](const std::string& role, pid_t pid) -> Result<void> {
      if (auto process = detail::identify(pid)) cluster.roles.push_back({role, std::move(*process)});
      return detail::write_local_cluster(cluster);
    });
  if (done) done = await_members(roles, cluster.options, signals, clock);
  if (done) roles.release();
  return done;
}

/// What is there of an earlier `up`, if anything of it still runs; what is left of a dead one is removed. Errors: as read_local_cluster().
Result<std::optional<LocalCluster>> find(const std::string& dir, detail::Signals& signals, Clock& clock) {
  auto cluster = detail::read_local_cluster(dir);
  if (!cluster || !cluster->has_value()) return cluster;
  (void)detail::end_all((*cluster)->strays(), signals, clock, from_ms(5000));
  (*cluster)->roles = (*cluster)->alive();
  if (!(*cluster)->roles.empty()) return cluster;
  detail::forget_local_cluster(**cluster);
  return std::nullopt;
}

Result<void> say(const LocalCluster& cluster, const std::string& words, bool json) {
  if (!json) {
    return detail::print(fmt::format("{}: {}\nmanager {}\nfiles in {}; sluice ps, submit, logs, … find it by themselves{}; sluice down ends it\n", words,
                                     described(cluster.options), cluster.manager(), cluster.options.out,
                                     cluster.options.out == detail::state_folder() ? "" : " with --dir " + cluster.options.out));
  }
  Json roles = Json::array();
  for (const auto& role : cluster.roles) roles.push_back({{"role", role.role}, {"pid", role.process.pid}});
  return detail::print(Json{{"version", 1},
                            {"manager", cluster.manager()},
                            {"dir", cluster.options.out},
                            {"slots", cluster.options.slots},
                            {"servers", cluster.options.servers},
                            {"policy", cluster.options.policy},
                            {"what", words},
                            {"roles", std::move(roles)}}
                           .dump() +
                       "\n");
}

/// Nothing to start: it must answer, and be what was asked for.
Result<void> already(const LocalCluster& cluster, Clock& clock, bool json) {
  net::ZmqTransport transport(clock);
  const auto ps = detail::ManagerClient(transport, clock, cluster.manager()).call("ps");
  if (ps) return say(cluster, "up already", json);
  return fail(ps.error().code, fmt::format("the cluster in {} has all its processes, but its manager does not answer ({}); 'sluice down' ends it",
                                           cluster.options.out, ps.error().what));
}

Result<void> up(const UpFlags& flags) {
  detail::EmbeddedOptions fresh{
      .servers = 1, .slots = detail::cores(), .policy = std::string(manager::kDefaultPolicy), .round_ms = 500, .out = {}, .stays = true};
  std::error_code error;
  fresh.out = std::filesystem::absolute(flags.dir.empty() ? detail::state_folder() : flags.dir, error).lexically_normal().string();
  auto options = with_flags(fresh, flags);
  if (!options) return tl::unexpected(options.error());
  if (std::filesystem::exists(fresh.out + "/run.json", error))
    return fail(Errc::kCannotConnect, fmt::format("{}: is the output folder of a run; choose another folder with --dir", fresh.out));
  std::filesystem::create_directories(std::filesystem::path(fresh.out) / "logs", error);
  if (error) return fail(Errc::kIo, fmt::format("{}: can't be made: {}; choose another folder with --dir", fresh.out, error.message()));
  detail::ClusterLock lock;
  if (auto taken = lock.take(fresh.out); !taken) return taken;
  detail::Signals signals;
  SystemClock clock;
  auto before = find(fresh.out, signals, clock);
  if (!before) return tl::unexpected(before.error());
  LocalCluster cluster;
  if (*before) {
    cluster = **before;
    if (const auto wanted = with_flags(cluster.options, flags); wanted && described(*wanted) != described(cluster.options))
      return fail(Errc::kBadConfig,
                  fmt::format("the cluster in {} is up with {}; to change that, end it first: sluice down", cluster.options.out, described(cluster.options)));
    if (cluster.roles.size() >= cluster.options.servers + 2) return already(cluster, clock, flags.json);
    detail::note(
        fmt::format("{} of its {} processes are gone; starting them again", cluster.options.servers + 2 - cluster.roles.size(), cluster.options.servers + 2));
  } else {
    cluster.options = *options;
    cluster.sockets = detail::staying_sockets(options->out, entropy_seed());
  }
  auto started = start(cluster, signals, clock);
  if (started) return say(cluster, *before ? "up again" : "up", flags.json);
  cluster.roles = cluster.alive();
  if (cluster.roles.empty())
    detail::forget_local_cluster(cluster);
  else
    (void)detail::write_local_cluster(cluster);
  return started;
}
}  // namespace

void add_up(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("up", "Starts a cluster on this machine that stays: a manager, servers and a worker, until sluice down");
  auto flags = std::make_shared<UpFlags>();
  verb->add_option("--dir", flags->dir, "Its folder: job table, decisions, losses, logs (default: $XDG_STATE_HOME/sluice or ~/.local/state/sluice)");
  verb->add_option("--slots", flags->slots, "Worker slots, or auto: one a core (default: auto)");
  verb->add_option("--servers", flags->servers, "Parameter servers (default: 1)")->check(CLI::Range(1, 64));
  verb->add_option("--policy", flags->policy, fmt::format("{} (default: {})", detail::policy_words(), manager::kDefaultPolicy));
  verb->add_option(
      "--fairness", flags->fairness,
      fmt::format("How much waiting counts beside loss, under policies that weigh it: 0 to 1, or strict (default: {})", manager::to_text(manager::Fairness{})));
  verb->add_option("--round-ms", flags->round_ms, "Time between decisions, in milliseconds (default: 500)")->check(CLI::Range(10, 60'000));
  verb->add_option("--keep-ended", flags->keep_ended, "Ended jobs that ps and the summary know on, the newest; older ones are forgotten (default: 1000)")
      ->check(CLI::Range(1, 1'000'000));
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice up --slots 2 && sluice submit examples/two-jobs.yaml --wait && sluice down");
  verb->callback([flags, &status] {
    const auto done = up(*flags);
    status = done ? 0 : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
