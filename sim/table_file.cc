#include "sim/table_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "worker/data/source.h"

namespace sluice::sim {
namespace {

constexpr std::size_t kBytesMax = std::size_t{256} << 20;

/// The cells of a line; a cell in quotes may hold commas and doubled quotes, not newlines.
std::vector<std::string> cells_of(std::string_view line) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (c == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        cells.back() += line[++i];
      else
        quoted = !quoted;
    } else if (c == ',' && !quoted) {
      cells.emplace_back();
    } else if (c != '\r') {
      cells.back() += c;
    }
  }
  return cells;
}

}  // namespace

Result<std::string> read_whole(const std::string& path) {
  auto file = worker::data::SourceFile::open(path, worker::data::SourceFile::Mode::kInflated);
  if (!file) return fail(file.error());
  std::string text;
  std::vector<std::byte> piece(1 << 16);
  while (true) {
    const auto got = file->read(piece);
    if (!got) return fail(got.error());
    if (*got == 0) return text;
    text.append(reinterpret_cast<const char*>(piece.data()), *got);
    if (text.size() > kBytesMax) return fail(Errc::kBadData, fmt::format("{}: longer than {} MiB", path, kBytesMax >> 20));
  }
}

std::string csv_cell(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

std::optional<double> to_number(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r' || text.back() == '\t')) text.remove_suffix(1);
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::size_t> TableFile::column(std::string_view name) const {
  const auto it = std::find(columns.begin(), columns.end(), name);
  if (it == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(it - columns.begin());
}

Result<double> TableFile::number(std::size_t row, std::size_t column) const {
  const std::string& cell = rows[row][column];
  if (const auto value = to_number(cell)) return *value;
  return fail(Errc::kBadData, fmt::format("{}:{}: {} must be a finite number, not '{}'", path, lines[row], columns[column], cell.substr(0, 80)));
}

Result<TableFile> read_table(const std::string& path) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  TableFile out;
  out.path = path;
  std::size_t line_number = 0;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    ++line_number;
    if (line.empty() || line == "\r") continue;
    auto cells = cells_of(line);
    if (out.columns.empty()) {
      out.columns = std::move(cells);
      continue;
    }
    if (cells.size() != out.columns.size())
      return fail(Errc::kBadData, fmt::format("{}:{}: {} cells, and the header has {}", path, line_number, cells.size(), out.columns.size()));
    out.rows.push_back(std::move(cells));
    out.lines.push_back(line_number);
  }
  if (out.columns.empty()) return fail(Errc::kBadData, fmt::format("{}: empty; a table needs a header", path));
  if (out.rows.empty()) return fail(Errc::kBadData, fmt::format("{}: a header and no rows", path));
  return out;
}

}  // namespace sluice::sim
