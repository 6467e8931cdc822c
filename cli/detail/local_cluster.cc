#include "cli/detail/local_cluster.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/temporary_file.h"
#include "cli/detail/folders.h"
#include "cli/detail/summary.h"

namespace sluice::cli::detail {
namespace fs = std::filesystem;
namespace {

std::string file_of(const std::string& dir) { return dir + "/cluster.json"; }

/// Without a home the default folder is below /tmp, where another user could have made it first; he would say which manager to talk to and which processes to
/// end.
Result<void> owned_if_shared(const std::string& dir) {
  if (dir != state_folder() || !dir.starts_with("/tmp/")) return {};
  for (const auto& part : {dir, file_of(dir)}) {
    struct stat status {};
    if (::lstat(part.c_str(), &status) == 0 && status.st_uid != ::geteuid())
      return fail(Errc::kDenied, fmt::format("{}: belongs to another user; choose another folder with --dir", part));
  }
  return {};
}

Json to_json(const LocalCluster& c) {
  Json roles = Json::array();
  for (const auto& [role, process] : c.roles) roles.push_back({{"role", role}, {"pid", process.pid}, {"start", process.start}, {"boot", process.boot}});
  return {{"version", 1},
          {"manager", c.manager()},
          {"sockets", c.sockets},
          {"servers", c.options.servers},
          {"slots", c.options.slots},
          {"policy", c.options.policy},
          {"round_ms", c.options.round_ms},
          {"fairness", c.options.fairness},
          {"keep_ended", c.options.keep_ended},
          {"roles", std::move(roles)}};
}

/// Throws Json::exception. Nothing if it names what cannot be a folder of our sockets.
std::optional<LocalCluster> from_json(const Json& json, const std::string& dir) {
  LocalCluster out;
  out.options = {
      .servers = json.at("servers"), .slots = json.at("slots"), .policy = json.at("policy"), .round_ms = json.at("round_ms"), .out = dir, .stays = true};
  out.options.fairness = json.value("fairness", out.options.fairness);
  out.options.keep_ended = json.value("keep_ended", out.options.keep_ended);
  out.sockets = json.at("sockets");
  const fs::path sockets(out.sockets);
  if (!sockets.is_absolute() || !(sockets.filename() == "sockets" || sockets.filename().string().starts_with("sluice-"))) return std::nullopt;
  for (const auto& role : json.at("roles"))
    out.roles.push_back({role.at("role"), {role.at("pid").get<pid_t>(), role.at("start").get<std::uint64_t>(), role.at("boot")}});
  return out;
}

}  // namespace

std::vector<LocalRole> LocalCluster::alive() const {
  std::vector<LocalRole> out;
  std::copy_if(roles.begin(), roles.end(), std::back_inserter(out), [](const LocalRole& role) { return runs(role.process); });
  return out;
}

std::vector<ProcessId> LocalCluster::strays() const {
  std::vector<ProcessId> out = with_arguments({"--socket-folder", sockets});
  std::erase_if(out,
                [&](const ProcessId& found) { return std::any_of(roles.begin(), roles.end(), [&](const LocalRole& role) { return role.process == found; }); });
  return out;
}

Result<std::optional<LocalCluster>> read_local_cluster(const std::string& dir) {
  const std::string path = file_of(dir);
  if (auto ours = owned_if_shared(dir); !ours) return tl::unexpected(ours.error());
  const auto json = read_json(path);
  if (!json && json.error().code == Errc::kNotFound) return std::nullopt;
  try {
    if (json && json->value("version", 0) == 1)
      if (auto cluster = from_json(*json, dir)) return cluster;
  } catch (const Json::exception&) {
    // Said below, as for anything that is not ours.
  }
  return fail(Errc::kBadData,
              fmt::format("{}: not a file of this version of sluice up; end what it started by hand (ps -C sluice), then remove the file", path));
}

Result<void> write_local_cluster(const LocalCluster& cluster) { return write_file(file_of(cluster.options.out), to_json(cluster).dump(1) + "\n"); }

void forget_local_cluster(const LocalCluster& cluster) {
  remove_sockets(cluster.sockets);
  std::error_code ignored;
  fs::remove(file_of(cluster.options.out), ignored);
}

Result<std::string> local_manager(const std::string& dir) {
  const std::string folder = dir.empty() ? state_folder() : dir;
  const auto cluster = read_local_cluster(folder);
  if (!cluster) return tl::unexpected(cluster.error());
  if (!cluster->has_value())
    return fail(Errc::kBadConfig,
                fmt::format("say which cluster: --manager ADDR (or SLUICE_MANAGER), or start one here with 'sluice up'; none is up in {}", folder));
  const auto alive = (*cluster)->alive();
  if (std::any_of(alive.begin(), alive.end(), [](const LocalRole& role) { return role.role == "manager"; })) return (*cluster)->manager();
  return fail(Errc::kCannotConnect,
              fmt::format("the manager of the cluster in {} is gone; 'sluice up' starts it again, 'sluice down' ends the rest (its log: {}/logs/manager.log)",
                          folder, folder));
}

ClusterLock::~ClusterLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> ClusterLock::take(const std::string& dir) {
  const std::string path = dir + "/up.lock";
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd_ < 0) return fail(Errc::kIo, fmt::format("{}: can't be written: {}", path, std::strerror(errno)));
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return {};
  return fail(Errc::kCannotConnect, fmt::format("another 'sluice up' or 'sluice down' is at work on {}; try again when it has ended", dir));
}

}  // namespace sluice::cli::detail
