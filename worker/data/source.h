#pragma once
/// A data file as it lies on disk: read once from start to end, inflated on the way if it is gzip, hashed as it is read.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::worker::data {

/// What changes when a file's content does, cheap to ask for. Times are the file system's.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

/// One thread.
class SourceFile {
 public:
  /// kStored: the bytes as they are. kInflated: a gzip file (told by its first two bytes) is inflated.
  enum class Mode { kStored, kInflated };
  /// Errors: kNotFound no such file; kBadData not a regular file, or not readable.
  [[nodiscard]] static Result<SourceFile> open(const std::string& path, Mode mode);
  SourceFile(SourceFile&&) noexcept;
  SourceFile& operator=(SourceFile&&) noexcept;
  ~SourceFile();

  /// Fills `into` unless the file ends before; returns the bytes written, 0 at the end. Errors: kBadData: read error, damaged or cut-off gzip data.
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> into);
  /// The file ends after so many inflated bytes, at the last line's end before them if there is one. REQUIRES: nothing was read.
  void stop_after(std::uint64_t bytes) { left_ = bytes; }
  /// xxh3 of the bytes on disk. REQUIRES: read() has returned 0.
  [[nodiscard]] std::uint64_t hash() const;
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }
  /// True if the file is not what it was when opened.
  [[nodiscard]] bool changed() const;
  /// Share of the bytes on disk that were read, in per cent.
  [[nodiscard]] int percent() const;

 private:
  struct Hash;
  struct Inflater;
  SourceFile(std::string path, int fd, const FileIdentity& identity);
  [[nodiscard]] Result<std::size_t> read_stored(std::span<std::byte> into);
  [[nodiscard]] Result<std::size_t> read_inflated(std::span<std::byte> into);

  std::string path_;
  int fd_ = -1;
  FileIdentity identity_;
  std::uint64_t read_ = 0;
  std::uint64_t left_ = UINT64_MAX;  ///< bytes to give yet
  std::unique_ptr<Hash> hash_;
  std::unique_ptr<Inflater> inflater_;  ///< none: not gzip
};

/// Identity of a file without opening it. Errors as SourceFile::open.
[[nodiscard]] Result<FileIdentity> identify(const std::string& path);
/// xxh3 of a file's bytes on disk.
[[nodiscard]] Result<std::uint64_t> hash_file(const std::string& path);

}  // namespace sluice::worker::data
