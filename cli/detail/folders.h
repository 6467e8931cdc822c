#pragma once
/// Where files go: the run's output folder, the private folder of its sockets, the data cache.

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace sluice::cli::detail {

/// $XDG_CACHE_HOME/sluice, ~/.cache/sluice, or a folder below /tmp for the user.
[[nodiscard]] std::string cache_folder();

/// Where `sluice up` keeps its cluster unless told otherwise: $XDG_STATE_HOME/sluice, ~/.local/state/sluice, or a folder below /tmp for the user.
[[nodiscard]] std::string state_folder();

/// out/NAME-YYYYMMDD-HHMMSS below the current folder, in local time.
[[nodiscard]] std::string default_out(const std::string& name, std::int64_t wall_ms);
/// Makes the output folder (or takes an empty one) and its logs/. Errors: kCannotConnect (it has files in it), kIo naming what failed.
[[nodiscard]] Result<void> make_out(const std::string& folder);

/// Makes a folder only for this user (0700); one that is there already must be such a one. Errors: kIo, kDenied.
[[nodiscard]] Result<void> make_private(const std::string& folder);

/// The name of a folder for sockets that isn't there yet, short enough for their paths: below $XDG_RUNTIME_DIR if that is one, else /tmp. If it has been made,
/// it is removed with all in it at destruction.
class SocketFolder {
 public:
  explicit SocketFolder(std::uint64_t seed);
  /// One that others made and use: never removed here.
  explicit SocketFolder(std::string path) : path_(std::move(path)), ours_(false) {}
  SocketFolder(SocketFolder&& other) noexcept : path_(std::exchange(other.path_, {})), ours_(other.ours_) {}
  SocketFolder& operator=(SocketFolder&&) = delete;
  ~SocketFolder();
  [[nodiscard]] const std::string& path() const { return path_; }
  /// From now on it is left where it is.
  void keep() { ours_ = false; }

 private:
  std::string path_;
  bool ours_ = true;
};

/// Where the sockets of a cluster that stays in `dir` are: dir/sockets, which nobody tidies away when a user logs out; where that is too long a path for
/// sockets, a folder as of SocketFolder. Nothing is made.
[[nodiscard]] std::string staying_sockets(const std::string& dir, std::uint64_t seed);

/// Removes a folder that has nothing but sockets in it; anything else in it stays, and so does the folder.
void remove_sockets(const std::string& folder);

}  // namespace sluice::cli::detail
