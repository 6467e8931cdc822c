#include "cli/detail/folders.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <vector>

namespace sluice::cli::detail {
namespace fs = std::filesystem;
namespace {
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string{} : value;
}

// A socket's path has at most 107 bytes, and the longest name in such a folder is server-64-255.sock.
constexpr std::size_t kSocketsMax = 84;

std::string short_folder(std::uint64_t seed) {
  constexpr std::size_t kBaseMax = 60;
  std::string base = environment("XDG_RUNTIME_DIR");
  if (!base.starts_with('/') || base.size() > kBaseMax || ::access(base.c_str(), W_OK | X_OK) != 0) base = "/tmp";
  return fmt::format("{}/sluice-{:016x}", base, seed);
}
}  // namespace

std::string cache_folder() {
  if (const auto cache = environment("XDG_CACHE_HOME"); cache.starts_with('/')) return cache + "/sluice";
  if (const auto home = environment("HOME"); home.starts_with('/')) return home + "/.cache/sluice";
  return fmt::format("/tmp/sluice-cache-{}", ::getuid());
}

std::string state_folder() {
  if (const auto state = environment("XDG_STATE_HOME"); state.starts_with('/')) return state + "/sluice";
  if (const auto home = environment("HOME"); home.starts_with('/')) return home + "/.local/state/sluice";
  return fmt::format("/tmp/sluice-state-{}", ::getuid());
}

std::string default_out(const std::string& name, std::int64_t wall_ms) {
  const auto seconds = static_cast<std::time_t>(wall_ms / 1000);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char stamp[32];
  if (std::strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", &local) == 0) stamp[0] = '\0';
  const std::string base = fmt::format("out/{}-{}", name, stamp);
  std::string path = base;
  for (int i = 2; fs::exists(path); ++i) path = fmt::format("{}-{}", base, i);
  return path;
}

Result<void> make_out(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error)) {
    if (!fs::is_directory(folder, error))
      return fail(Errc::kCannotConnect, fmt::format("{}: there is a file of that name; choose another folder with --out", folder));
    const bool empty = fs::is_empty(folder, error);
    if (!error && !empty) {
      return fail(Errc::kCannotConnect,
                  fmt::format("{}: has files of another run in it; choose another folder with --out, or remove it first (rm -r {})", folder, folder));
    }
  }
  if (!error) fs::create_directories(fs::path(folder) / "logs", error);
  if (error) return fail(Errc::kIo, fmt::format("{}: can't be made: {}; choose another folder with --out", folder, error.message()));
  return {};
}

Result<void> make_private(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return fail(Errc::kIo, fmt::format("{}: can't be made: {}", folder, std::strerror(errno)));
  struct stat status {};
  if (::lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid() && (status.st_mode & 077) == 0) return {};
  return fail(Errc::kDenied, fmt::format("{}: is there already, and not a folder of this user alone", folder));
}

SocketFolder::SocketFolder(std::uint64_t seed) : path_(short_folder(seed)) {}

SocketFolder::~SocketFolder() {
  std::error_code ignored;
  if (ours_ && !path_.empty()) fs::remove_all(path_, ignored);
}

std::string staying_sockets(const std::string& dir, std::uint64_t seed) {
  const std::string path = dir + "/sockets";
  return path.size() <= kSocketsMax ? path : short_folder(seed);
}

void remove_sockets(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> sockets;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
    if (entry->is_socket(error)) sockets.push_back(entry->path());
  for (const auto& socket : sockets) fs::remove(socket, error);
  ::rmdir(folder.c_str());
}

}  // namespace sluice::cli::detail
