#pragma once
/// A file that appears under its name whole or not at all: written under a temporary name in the same folder, then renamed.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice {

/// Who may read it is as of any new file (umask); what is private is in a private folder. One thread. Destroyed without commit(): the temporary file is
/// removed; left by a killed process: removed by the next create() in that folder.
class TemporaryFile {
 public:
  /// `when_full`: advice for the words of an error on a full disk. Errors: kIo.
  [[nodiscard]] static Result<TemporaryFile> create(const std::string& folder, const std::string& when_full = {});
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;
  ~TemporaryFile();

  /// Appends. Errors: kIo naming the folder's file system trouble (disk full).
  [[nodiscard]] Result<void> append(Bytes bytes) { return write_at(size_, bytes); }
  [[nodiscard]] Result<void> write_at(std::uint64_t offset, Bytes bytes);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Renames to `path` (in the same folder), replacing what is there. Not synced to the disk: what a power cut leaves is told by checksums. Errors: kIo.
  [[nodiscard]] Result<void> commit(const std::string& path);
  /// What was written so far is on the disk. Errors: kIo.
  [[nodiscard]] Result<void> sync();

 private:
  TemporaryFile(int fd, std::string path, std::string when_full) : fd_(fd), path_(std::move(path)), when_full_(std::move(when_full)) {}
  int fd_;
  std::string path_, when_full_;
  std::uint64_t size_ = 0;
};

/// Writes `text` to `path`, whole or not at all, replacing what is there. Errors: kIo.
[[nodiscard]] Result<void> write_file(const std::string& path, std::string_view text);
/// mkdir -p with mode 0700. Errors: kIo.
[[nodiscard]] Result<void> make_private_folder(const std::string& folder);
/// The names in the folder are on the disk: what was renamed there stays so after a power cut. Errors: kIo.
[[nodiscard]] Result<void> sync_folder(const std::string& folder);

}  // namespace sluice
