#pragma once
/// The inner loop of the libsvm reader: whole lines of text → rows.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/rows.h"

namespace sluice::worker::data {

/// What lines are held to.
struct LineRules {
  std::uint64_t index_max = 0xfffffffe;  ///< training: largest index as written
  const Mapping* mapping = nullptr;      ///< test: labels, columns and base
  bool targets = false;                  ///< labels are numbers to come near to
};

/// Rows of a run of lines. Indices as written (training) or from 0 (test).
struct Piece {
  std::vector<std::int64_t> labels;    ///< as written (training) or classes (test)
  std::vector<float> targets;          ///< instead of labels, where the rules say so
  std::vector<std::uint32_t> lengths;  ///< entries of each row
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
  std::uint64_t lines = 0;
  std::uint64_t bad_rows = 0;
  std::uint64_t bad_line = 0;  ///< of the first bad row, from 1 within the piece
  std::size_t bad_column = 0;  ///< from 1, in bytes
  std::string bad_what;
  /// As new, but for its memory.
  void clear();
};

/// Appends the rows of `text` (lines ended by \n or \r\n; the last may lack it) to `piece`.
void parse_lines(std::string_view text, const LineRules& rules, Piece& piece);

}  // namespace sluice::worker::data
