#include "worker/data/csv_cells.h"

#include <algorithm>

namespace sluice::worker::data {
namespace {

bool blank_cell(char c, char separator) { return (c == ' ' || c == '\t' || c == '\r') && c != separator; }

/// Offset of the quote that ends a cell whose opening quote is at `open`; npos: none.
std::size_t closing_quote(std::string_view text, std::size_t open) {
  for (std::size_t at = text.find('"', open + 1); at != std::string_view::npos; at = text.find('"', at + 2)) {
    if (at + 1 >= text.size() || text[at + 1] != '"') return at;
  }
  return std::string_view::npos;
}

}  // namespace

std::size_t record_end(std::string_view text, std::size_t from, char separator) {
  bool start = true;  // of a cell: only there a quote opens
  for (std::size_t at = from; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\n') return at + 1;
    if (c == separator) {
      start = true;
    } else if (c == '"' && start) {
      at = closing_quote(text, at);
      if (at == std::string_view::npos) return at;
      start = false;
    } else if (!blank_cell(c, separator)) {
      start = false;
    }
  }
  return std::string_view::npos;
}

std::size_t cut_records(std::string_view text, char separator, std::size_t bytes, std::vector<std::string_view>& pieces) {
  const bool quotes = text.find('"') != std::string_view::npos;
  std::size_t whole = 0, from = 0;  // of all records found, and the piece's begin
  while (whole < text.size()) {
    std::size_t end = 0;
    if (quotes) {
      end = record_end(text, whole, separator);
    } else {  // a line is a record: take many at once
      end = text.find('\n', std::min(text.size() - 1, whole + bytes));
      if (end == std::string_view::npos) end = text.rfind('\n');
      end = end == std::string_view::npos || end < whole ? std::string_view::npos : end + 1;
    }
    if (end == std::string_view::npos) break;
    whole = end;
    if (whole - from < bytes) continue;
    pieces.push_back(text.substr(from, whole - from));
    from = whole;
  }
  if (whole > from) pieces.push_back(text.substr(from, whole - from));
  return whole;
}

bool read_cells(std::string_view record, char separator, std::vector<CsvCell>& cells, CsvTrouble& trouble) {
  cells.clear();
  if (!record.empty() && record.back() == '\n') record.remove_suffix(1);
  const auto skip = [&](std::size_t at) {
    while (at < record.size() && blank_cell(record[at], separator)) ++at;
    return at;
  };
  if (skip(0) == record.size()) return true;
  for (std::size_t at = 0;; ++at) {  // at: the begin of a cell, then its separator
    const std::size_t begin = skip(at);
    if (begin < record.size() && record[begin] == '"') {
      const std::size_t close = closing_quote(record, begin);
      if (close == std::string_view::npos) {
        trouble = {"the quote that opens here is never closed", begin};
        return false;
      }
      const std::string_view text = record.substr(begin + 1, close - begin - 1);
      cells.push_back({text, true, text.find('"') != std::string_view::npos});
      at = skip(close + 1);
      if (at < record.size() && record[at] != separator) {
        trouble = {"text behind the quote that ends a cell (a quote inside is written twice)", at};
        return false;
      }
    } else {
      const std::size_t found = record.find(separator, begin);
      at = found == std::string_view::npos ? record.size() : found;
      std::size_t end = at;
      while (end > begin && blank_cell(record[end - 1], separator)) --end;
      cells.push_back({record.substr(begin, end - begin), false, false});
    }
    if (at >= record.size()) return true;
  }
}

std::string_view meant(const CsvCell& cell, std::string& room) {
  if (!cell.escaped) return cell.text;
  room.clear();
  for (std::size_t i = 0; i < cell.text.size(); ++i) {
    room += cell.text[i];
    if (cell.text[i] == '"') ++i;
  }
  return room;
}

}  // namespace sluice::worker::data
