#include "base/temporary_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kPrefix = ".sluice-part-";

tl::unexpected<Error> trouble(const std::string& path, int error, const std::string& when_full) {
  const bool full = !when_full.empty() && (error == ENOSPC || error == EDQUOT);
  return fail(Errc::kIo, fmt::format("cannot write {}: {}{}", path, std::strerror(error), full ? " (" + when_full + ")" : ""));
}

/// A writer holds a lock on its temporary file as long as it lives; one without a lock was left by a killed process.
void remove_leftovers(const std::string& folder) {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
    ::close(fd);
  }
}

}  // namespace

Result<TemporaryFile> TemporaryFile::create(const std::string& folder, const std::string& when_full) {
  static std::atomic<std::uint64_t> counter{0};
  remove_leftovers(folder);
  for (;;) {
    std::string path = fmt::format("{}/{}{}-{}", folder, kPrefix, ::getpid(), counter++);
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);  // less the umask, as any program's files
    if (fd < 0 && errno == EEXIST) continue;
    if (fd < 0) return trouble(path, errno, when_full);
    struct stat status {};
    // Between open and lock another process may have taken it for a leftover: then begin again.
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0 && ::fstat(fd, &status) == 0 && status.st_nlink > 0) return TemporaryFile(fd, std::move(path), when_full);
    ::close(fd);
  }
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), when_full_(std::move(other.when_full_)), size_(other.size_) {}

TemporaryFile::~TemporaryFile() {
  if (fd_ < 0) return;
  ::unlink(path_.c_str());
  ::close(fd_);
}

Result<void> TemporaryFile::write_at(std::uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return trouble(path_, errno, when_full_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
    size_ = offset > size_ ? offset : size_;
  }
  return {};
}

Result<void> TemporaryFile::commit(const std::string& path) {
  if (::rename(path_.c_str(), path.c_str()) != 0) return trouble(path, errno, when_full_);
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) return trouble(path, errno, when_full_);
  return {};
}

Result<void> TemporaryFile::sync() {
  if (::fsync(fd_) != 0) return trouble(path_, errno, when_full_);
  return {};
}

Result<void> write_file(const std::string& path, std::string_view text) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  auto file = TemporaryFile::create(folder.empty() ? "." : folder.string());
  const auto named = [&](const Error& error) { return fail(error.code, fmt::format("{}: can't be written: {}", path, error.what)); };
  if (!file) return named(file.error());
  if (auto ok = file->append(std::as_bytes(std::span(text))); !ok) return named(ok.error());
  if (auto ok = file->commit(path); !ok) return named(ok.error());
  return {};
}

Result<void> make_private_folder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0 || (errno == EEXIST && std::filesystem::is_directory(path, error))) return {};
  return fail(Errc::kIo, fmt::format("cannot make the folder {}: {}", folder, std::strerror(errno)));
}

Result<void> sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int synced = fd < 0 ? -1 : ::fsync(fd);
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (synced != 0) return fail(Errc::kIo, fmt::format("{}: {}", folder, std::strerror(error)));
  return {};
}

}  // namespace sluice
