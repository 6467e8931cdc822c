#pragma once
/// Cuts CSV text into records, and records into cells (RFC 4180, and what is met beside it): a cell that begins with a double quote goes to the next lone one
/// and may hold separators, line ends and quotes (written twice); elsewhere a quote is a letter. Blanks around a cell mean nothing. Lines end by \n or \r\n.
/// Written here because the packaged libcsv is serial and tells no places: rows are parsed in parallel, and what is wrong is said with line and column.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::worker::data {

/// A view of the text.
struct CsvCell {
  std::string_view text;  ///< without the quotes around it
  bool quoted = false;
  bool escaped = false;  ///< holds quotes written twice
};

/// Offset behind the line end of the record that begins at `from`; npos: the text ends before it does.
[[nodiscard]] std::size_t record_end(std::string_view text, std::size_t from, char separator);
/// Whole records of `text`, cut into pieces of about `bytes`. Returns how much of the text they are; the rest is the beginning of a record.
std::size_t cut_records(std::string_view text, char separator, std::size_t bytes, std::vector<std::string_view>& pieces);

/// What is wrong with a record, and where.
struct CsvTrouble {
  std::string what;
  std::size_t at = 0;  ///< offset in the record
};
/// The cells of one record (its line end may be there or not) into `cells`. A record of blanks has none. False: `trouble` says what is wrong.
[[nodiscard]] bool read_cells(std::string_view record, char separator, std::vector<CsvCell>& cells, CsvTrouble& trouble);
/// A cell's text as meant; `room` holds it where it had to be written anew.
[[nodiscard]] std::string_view meant(const CsvCell& cell, std::string& room);

}  // namespace sluice::worker::data
