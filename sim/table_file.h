#pragma once
/// A CSV file with a header, gzipped or not: names of columns and cells as text. For scenarios' small files (256 MiB at most).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::sim {

/// The whole text of a file, inflated if it is gzip. Errors: kNotFound, kBadData naming the file.
[[nodiscard]] Result<std::string> read_whole(const std::string& path);

struct TableFile {
  std::string path;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;  ///< each with a cell a column
  std::vector<std::size_t> lines;              ///< of the rows, from 1

  [[nodiscard]] std::optional<std::size_t> column(std::string_view name) const;
  /// Errors: kBadData naming file, line and column: not a finite number.
  [[nodiscard]] Result<double> number(std::size_t row, std::size_t column) const;
};
/// Errors: kNotFound; kBadData naming file and line (no header, a row of another width, no rows).
[[nodiscard]] Result<TableFile> read_table(const std::string& path);

/// The text as a cell of such a file (RFC 4180): in quotes, with its own quotes doubled, where it holds a comma, a quote or the end of a line.
[[nodiscard]] std::string csv_cell(std::string_view text);

/// A finite decimal number and nothing else.
[[nodiscard]] std::optional<double> to_number(std::string_view text);

}  // namespace sluice::sim
