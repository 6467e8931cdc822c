#pragma once
/// A data file's rows after parsing, before they are shuffled into a cache.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace sluice::worker::data {

/// How labels and columns are read: found in the training file, then held to by the test file.
struct Mapping {
  std::vector<std::int64_t> labels;  ///< sorted; labels[c] is what the file calls class c; none when the labels are targets
  std::uint64_t features = 0;
  std::uint32_t index_base = 0;  ///< libsvm: 0 or 1, what the first column is called
  std::string schema = {};       ///< csv: names, types and categories of its columns, written by its reader for itself (csv_schema.h); else empty
  /// The class of a label, or none if the training data has no such label.
  [[nodiscard]] std::optional<std::uint32_t> class_of(std::int64_t label) const;
};

struct Rows {
  bool sparse = false;
  Mapping mapping;
  bool regression = false;             ///< labels are targets: `targets` is filled, `classes` is not
  std::vector<std::uint32_t> classes;  ///< of each row
  std::vector<float> targets;          ///< of each row; finite
  std::vector<std::uint64_t> offsets;  ///< sparse: rows + 1
  std::vector<std::uint32_t> indices;  ///< sparse: from 0
  std::vector<float> values;           ///< sparse
  std::vector<std::uint8_t> pixels;    ///< dense: rows × features; read as byte / 255
  std::vector<float> dense;            ///< dense and not bytes: rows × features
  [[nodiscard]] std::uint64_t count() const { return regression ? targets.size() : classes.size(); }
  std::uint64_t bad_rows = 0;          ///< left out
  std::string first_bad;               ///< of the first of them: "line:column: what" of the training or test file, idx: "item: what" of the label file
};

/// Rows [0, n) cut in two: those of `second` are left out of the first and make the second, both in their order; the mapping is both's, the bad rows the
/// first's. second: increasing.
[[nodiscard]] std::pair<Rows, Rows> cut_rows(const Rows& rows, const std::vector<std::uint64_t>& second);

/// Told the share of the file that was read, in per cent.
using Progress = std::function<void(int percent)>;

}  // namespace sluice::worker::data
