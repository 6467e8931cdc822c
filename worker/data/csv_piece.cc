#include "worker/data/csv_piece.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace sluice::worker::data {
namespace {

/// A cell, shortened and printable, for messages.
std::string cell_quoted(std::string_view cell) {
  std::string out;
  for (const char c : cell.substr(0, 40)) out += static_cast<unsigned char>(c) >= ' ' && c != 127 ? c : '?';
  return "'" + out + "'";
}

/// Reads one record after the other; the first thing wrong with one takes its row back.
class Records {
 public:
  Records(const CsvSchema& schema, const std::vector<std::int64_t>* labels, CsvPiece& piece) : schema_(schema), labels_(labels), piece_(piece) {}

  /// True: a row was added, or there was none. False: trouble() says why not.
  bool read(std::string_view record) {
    if (!read_cells(record, schema_.separator, cells_, trouble_)) return false;
    if (cells_.empty()) return true;
    record_ = record;
    if (cells_.size() != schema_.columns.size())
      return wrong(cells_.back(), fmt::format("{} cell{} in a row of {} columns", cells_.size(), cells_.size() == 1 ? "" : "s", schema_.columns.size()));
    const std::size_t numbers = piece_.numbers.size(), texts = piece_.texts.size();
    std::size_t text = 0;
    bool good = read_label(cells_[schema_.label], schema_.columns[schema_.label].name);
    for (std::size_t i = 0; good && i < cells_.size(); ++i) {
      const CsvColumn& column = schema_.columns[i];
      if (column.type == CsvType::kNumber) good = read_number(cells_[i], column);
      if (column.type == CsvType::kText) good = read_text(cells_[i], column, piece_.words[text++]);
    }
    if (good) {
      ++piece_.rows;
      return true;
    }
    piece_.numbers.resize(numbers);
    piece_.texts.resize(texts);
    piece_.targets.resize(std::min<std::size_t>(piece_.targets.size(), piece_.rows));
    piece_.labels.resize(std::min<std::size_t>(piece_.labels.size(), piece_.rows));
    piece_.names.resize(std::min<std::size_t>(piece_.names.size(), piece_.rows));
    return false;
  }
  [[nodiscard]] const CsvTrouble& trouble() const { return trouble_; }

 private:
  bool wrong(const CsvCell& cell, std::string what) {
    trouble_ = {std::move(what), static_cast<std::size_t>(cell.text.data() - record_.data())};
    return false;
  }

  bool read_number(const CsvCell& cell, const CsvColumn& column) {
    const auto value = csv_number(cell.text);
    if (value && std::isfinite(*value)) {
      piece_.numbers.push_back(*value);
      return true;
    }
    if (!is_missing(cell.text))
      return wrong(cell, value ? fmt::format("{} in column '{}' is not a finite number", cell_quoted(cell.text), column.name)
                               : fmt::format("{} in column '{}', whose first rows hold numbers", cell_quoted(cell.text), column.name));
    if (schema_.refuse_missing) return wrong(cell, missing(column.name));
    piece_.numbers.push_back(std::numeric_limits<float>::quiet_NaN());
    return true;
  }

  bool read_text(const CsvCell& cell, const CsvColumn& column, Words& words) {
    const std::string_view word = meant(cell, room_);
    if (is_missing(word)) {
      if (schema_.refuse_missing) return wrong(cell, missing(column.name));
      piece_.texts.push_back(kNoWord);
    } else {
      piece_.texts.push_back(words.id(word));
    }
    return true;
  }
  static std::string missing(const std::string& column) {
    return fmt::format("no value in column '{}' (missing: zero or missing: mean of the dataset would fill it)", column);
  }

  bool read_label(const CsvCell& cell, const std::string& column) {
    const std::string_view word = meant(cell, room_);
    if (is_missing(word)) return wrong(cell, fmt::format("no label in column '{}'", column));
    if (schema_.label_kind == CsvLabel::kTargets) {
      const auto value = csv_number(word);
      if (!value || !std::isfinite(*value))
        return wrong(cell, fmt::format("target {} in column '{}' is not a {}number", cell_quoted(word), column, value ? "finite " : ""));
      piece_.targets.push_back(*value);
    } else if (schema_.label_kind == CsvLabel::kNumbers) {
      const auto value = csv_whole(word);
      if (!value) return wrong(cell, fmt::format("label {} in column '{}' is not a whole number, as those of the first rows are", cell_quoted(word), column));
      if (labels_ != nullptr && !std::binary_search(labels_->begin(), labels_->end(), *value)) return unknown(cell, word);
      piece_.labels.push_back(*value);
    } else {
      const auto& names = schema_.class_names;
      if (labels_ != nullptr && !std::binary_search(names.begin(), names.end(), word)) return unknown(cell, word);
      piece_.names.push_back(piece_.label_words.id(word));
    }
    return true;
  }
  bool unknown(const CsvCell& cell, std::string_view word) {
    return wrong(cell, fmt::format("label {} does not occur in the training data", cell_quoted(word)));
  }

  const CsvSchema& schema_;
  const std::vector<std::int64_t>* labels_;
  CsvPiece& piece_;
  std::string_view record_;
  std::vector<CsvCell> cells_;
  CsvTrouble trouble_;
  std::string room_;
};

}  // namespace

std::uint32_t Words::id(std::string_view word) {
  if (const auto it = ids_.find(word); it != ids_.end()) return it->second;
  const auto id = static_cast<std::uint32_t>(words_.size());
  ids_.emplace(words_.emplace_back(word), id);
  return id;
}

void parse_records(std::string_view text, const CsvSchema& schema, const std::vector<std::int64_t>* labels, CsvPiece& piece) {
  Records records(schema, labels, piece);
  const bool quotes = text.find('"') != std::string_view::npos;
  for (std::size_t from = 0; from < text.size();) {
    std::size_t end = quotes ? record_end(text, from, schema.separator) : text.find('\n', from);
    end = end == std::string_view::npos ? text.size() : quotes ? end : end + 1;
    if (!records.read(text.substr(from, end - from)) && piece.bad_rows++ == 0) {
      const std::string_view before = text.substr(0, from + records.trouble().at);
      const std::size_t line = before.rfind('\n');
      piece.bad_line = 1 + static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n'));
      piece.bad_column = line == std::string_view::npos ? before.size() + 1 : before.size() - line;
      piece.bad_what = records.trouble().what;
    }
    from = end;
  }
  piece.lines += static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace sluice::worker::data
