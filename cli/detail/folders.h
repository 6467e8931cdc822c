#pragma once
/// Where files go: the run's output folder, the private folder of its sockets, the data cache.

#include <cstdint>
#include <string>
#include <utility>

#include "base/result.h"

namespace sluice::cli::detail {

/// $XDG_CACHE_HOME/sluice, ~/.cache/sluice, or a folder below /tmp for the user.
[[nodiscard]] std::string cache_folder();

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
  SocketFolder(SocketFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  SocketFolder& operator=(SocketFolder&&) = delete;
  ~SocketFolder();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace sluice::cli::detail
