#pragma once
/// The inner loop of the CSV reader: whole records of text → numbers and words, row by row.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/data/csv_schema.h"

namespace sluice::worker::data {

inline constexpr std::uint32_t kNoWord = 0xffffffff;  ///< a missing cell

/// Words numbered in the order met.
class Words {
 public:
  Words() = default;
  Words(Words&&) = default;
  Words& operator=(Words&&) = default;
  std::uint32_t id(std::string_view word);
  [[nodiscard]] const std::deque<std::string>& all() const { return words_; }

 private:
  std::deque<std::string> words_;  ///< never moves, so that the keys below stay valid
  std::unordered_map<std::string_view, std::uint32_t> ids_;
};

/// Rows of a run of records.
struct CsvPiece {
  explicit CsvPiece(std::size_t text_columns) : words(text_columns) {}
  std::vector<float> numbers;        ///< rows × number columns; NaN: missing
  std::vector<std::uint32_t> texts;  ///< rows × text columns: ids of `words`, kNoWord: missing
  std::vector<Words> words;          ///< of each text column
  std::vector<float> targets;        ///< of each row, by the schema's kind of label one of the three
  std::vector<std::int64_t> labels;
  std::vector<std::uint32_t> names;  ///< ids of `label_words`
  Words label_words;
  std::uint64_t rows = 0, lines = 0, bad_rows = 0;
  std::uint64_t bad_line = 0;  ///< of the first bad row, from 1 within the piece
  std::size_t bad_column = 0;  ///< from 1, in bytes
  std::string bad_what;
};

/// Appends the rows of `text` to `piece`. training: false: labels must be of `labels` (sorted) or the schema's class_names.
void parse_records(std::string_view text, const CsvSchema& schema, const std::vector<std::int64_t>* labels, CsvPiece& piece);

}  // namespace sluice::worker::data
