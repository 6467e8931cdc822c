#pragma once
/// For tests: datasets in memory, folders that vanish, files.

#include <string>
#include <string_view>
#include <vector>

#include "worker/data/stored.h"

namespace sluice::worker::fixtures {

/// Made-up rows that a model can learn: labels are those of a random linear rule; classes 0: targets, the rule's numbers. Same seed, same rows.
[[nodiscard]] std::shared_ptr<const Dataset> dense_rows(std::uint64_t rows, std::uint64_t features, std::uint32_t classes, std::uint64_t seed);
/// Each row has 0 … 6 entries; some features never occur.
[[nodiscard]] std::shared_ptr<const Dataset> sparse_rows(std::uint64_t rows, std::uint64_t features, std::uint32_t classes, std::uint64_t seed);
/// Ratings: each row has a one for a user (features 0 … features/2 − 1) and one for an item; every fifth lacks one of them or both. Targets: a sum of both's.
[[nodiscard]] std::shared_ptr<const Dataset> pair_rows(std::uint64_t rows, std::uint64_t features, bool sparse, std::uint64_t seed);

/// A new folder under the system's temporary one, removed with all it holds at the end.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  /// Writes path()/name and returns its path.
  std::string write(const std::string& name, std::string_view content) const;
  /// As write(), compressed by gzip.
  std::string write_gzip(const std::string& name, std::string_view content) const;
  /// Names of the files in it, sorted.
  [[nodiscard]] std::vector<std::string> list() const;

 private:
  std::string path_;
};
[[nodiscard]] std::string read_file(const std::string& path);

/// An IDX file's bytes: unsigned bytes of these dimensions.
[[nodiscard]] std::string idx_bytes(const std::vector<std::uint32_t>& dimensions, std::string_view content);

}  // namespace sluice::worker::fixtures
