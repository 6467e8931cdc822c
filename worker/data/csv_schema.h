#pragma once
/// What a CSV training file's columns are: found in its first rows, completed by all of them, then held to by the test file.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proto/job_spec.h"
#include "worker/data/csv_cells.h"

namespace sluice::worker::data {

inline constexpr std::size_t kCsvGuessRows = 1000;  ///< rows whose cells decide what a column is
inline constexpr std::size_t kCsvColumnsMax = 1'000'000;
inline constexpr std::size_t kCsvCategoriesMax = 16'384;    ///< a text column with more is hashed
inline constexpr std::uint32_t kCsvHashBits = 18;           ///< into 2^18 features
inline constexpr std::uint64_t kCsvDenseFeaturesMax = 256;  ///< more are stored sparse
inline constexpr std::uint64_t kCsvDenseNumbersMax = 4096;  ///< the same where no column is text

enum class CsvType : std::uint8_t { kNumber, kText, kSkipped, kLabel };

struct CsvColumn {
  std::string name;  ///< of the header; without one "column 3"
  CsvType type = CsvType::kNumber;
  std::vector<std::string> categories = {};  ///< text, not hashed: sorted; category i is feature `first` + i
  bool hashed = false;                       ///< text: xxh3 of the category, mod 2^kCsvHashBits, says the feature
  double filler = 0;                         ///< number: what stands for a missing one
  std::uint64_t first = 0;                   ///< its first feature
  [[nodiscard]] std::uint64_t features() const;
  /// text: the feature of a category, from `first`; none: the training data has no such.
  [[nodiscard]] std::optional<std::uint64_t> feature_of(std::string_view category) const;
};

enum class CsvLabel : std::uint8_t { kTargets, kNumbers, kNames };  ///< targets; classes by whole number; classes by name

struct CsvSchema {
  char separator = ',';
  bool header = false;
  bool refuse_missing = true;
  CsvLabel label_kind = CsvLabel::kTargets;
  std::size_t label = 0;                 ///< its column
  std::vector<std::string> class_names;  ///< label_kind kNames: sorted
  std::vector<CsvColumn> columns;
  [[nodiscard]] std::uint64_t features() const { return columns.empty() ? 0 : columns.back().first + columns.back().features(); }
  [[nodiscard]] bool has_text() const;
  [[nodiscard]] bool sparse() const { return features() > (has_text() ? kCsvDenseFeaturesMax : kCsvDenseNumbersMax); }
  /// Gives each column its first feature.
  void lay_out();
};

/// Empty, NA, N/A, nan, NaN, null, NULL, ?
[[nodiscard]] bool is_missing(std::string_view cell);
/// A number as written, whole; infinite where it says so or is too large for a float; none: no number.
[[nodiscard]] std::optional<float> csv_number(std::string_view cell);
/// A whole number, also written 1.0 or 1e3; none: not one.
[[nodiscard]] std::optional<std::int64_t> csv_whole(std::string_view cell);

/// Guesses header, types and the label's kind from the first records of a training file. `text`: whole records, without a byte-order mark.
/// Errors: kBadData or kBadConfig with `path`: no rows, an unknown column, a label that is no class.
[[nodiscard]] Result<CsvSchema> guess_schema(std::string_view text, char separator, const std::string& path, const proto::DataSpec& spec);
/// The separator among , ; | and tab that the first line has most of outside quotes; a comma where it has none.
[[nodiscard]] char guess_separator(std::string_view text);

/// CBOR, which keeps any bytes (JSON would not keep Latin-1).
[[nodiscard]] std::string to_bytes(const CsvSchema& schema);
/// Of what to_bytes wrote (a cache's, whose checksum was right). Errors: kBadData.
[[nodiscard]] Result<CsvSchema> csv_schema_from_bytes(const std::string& bytes);
/// For people, in one line: "8 columns: 5 numbers, 3 text (cut 5, color 7, clarity 8 categories); label 'price'".
[[nodiscard]] std::string describe(const CsvSchema& schema);

}  // namespace sluice::worker::data
