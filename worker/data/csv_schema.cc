#include "worker/data/csv_schema.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <tuple>

#include "base/text.h"
#include "worker/data/short_decimal.h"

namespace sluice::worker::data {
namespace {

using Json = nlohmann::json;

std::string_view past_sign(std::string_view cell) { return cell.size() > 1 && cell[0] == '+' && cell[1] != '-' ? cell.substr(1) : cell; }

/// Records of the file's beginning, as strings.
struct Sample {
  std::vector<std::vector<std::string>> rows;
  Sample(std::string_view text, char separator) {
    std::vector<CsvCell> cells;
    CsvTrouble trouble;
    std::string room;
    for (std::size_t from = 0; from < text.size() && rows.size() <= kCsvGuessRows;) {
      const std::size_t end = std::min(record_end(text, from, separator), text.size());
      if (read_cells(text.substr(from, end - from), separator, cells, trouble) && !cells.empty()) {
        auto& row = rows.emplace_back();
        for (const CsvCell& cell : cells) row.emplace_back(meant(cell, room));
      }
      from = end;
    }
  }
};

/// The header is the first line, unless one of its cells is a number.
bool guess_header(const std::vector<std::string>& first) {
  return std::none_of(first.begin(), first.end(), [](const std::string& cell) { return csv_number(cell).has_value(); });
}

/// Index of a column named in the run file, by name or by number from 1.
Result<std::size_t> column_index(const std::vector<CsvColumn>& columns, const std::string& name, const std::string& path, const char* key) {
  std::vector<std::string> names;
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (names.size() < 40) names.push_back(columns[i].name);
    if (columns[i].name != name) continue;
    if (found) return fail(Errc::kBadConfig, fmt::format("{}: two columns are called '{}' ({}); say the column's number, from 1", path, name, key));
    found = i;
  }
  if (found) return *found;
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) {
    if (number >= 1 && number <= columns.size()) return number - 1;
    return fail(Errc::kBadConfig, fmt::format("{}: there is no column {} ({}): it has {}", path, name, key, columns.size()));
  }
  return fail(Errc::kBadConfig, fmt::format("{}: {} ({})", path, text::unknown_name("column", name, names), key));
}

Result<void> place(CsvSchema& schema, const std::string& path, const proto::CsvSpec& spec) {
  for (const auto& [list, type, key] : {std::tuple(&spec.text, CsvType::kText, "text"), std::tuple(&spec.skip, CsvType::kSkipped, "skip")}) {
    for (const std::string& name : *list) {
      const auto column = column_index(schema.columns, name, path, key);
      if (!column) return fail(column.error());
      schema.columns[*column].type = type;
    }
  }
  schema.label = schema.columns.size() - 1;
  if (!spec.label.empty()) {
    const auto column = column_index(schema.columns, spec.label, path, "label");
    if (!column) return fail(column.error());
    schema.label = *column;
  }
  if (schema.columns[schema.label].type == CsvType::kSkipped)
    return fail(Errc::kBadConfig, fmt::format("{}: the label's column '{}' is also under skip", path, schema.columns[schema.label].name));
  schema.columns[schema.label].type = CsvType::kLabel;
  return {};
}

/// `rows`: without the header.
Result<void> guess_label(CsvSchema& schema, std::span<const std::vector<std::string>> rows, const std::string& path, proto::LabelKind kind) {
  if (kind == proto::LabelKind::kTargets) return {};
  schema.label_kind = CsvLabel::kNumbers;
  const std::string* not_whole = nullptr;
  for (const auto& row : rows) {
    if (schema.label >= row.size() || is_missing(row[schema.label]) || csv_whole(row[schema.label])) continue;
    if (!csv_number(row[schema.label])) {
      schema.label_kind = CsvLabel::kNames;
      return {};
    }
    if (not_whole == nullptr) not_whole = &row[schema.label];
  }
  if (not_whole == nullptr) return {};
  return fail(Errc::kBadData, fmt::format("{}: labels such as '{}' in column '{}' are no classes; numbers to learn by regression are said by labels: targets",
                                          path, not_whole->substr(0, 40), schema.columns[schema.label].name));
}

/// What is wrong with a schema that was read; null: nothing.
const char* inconsistent(const CsvSchema& schema) {
  const auto sorted = [](const std::vector<std::string>& names) {
    return std::adjacent_find(names.begin(), names.end(), std::greater_equal<>()) == names.end();
  };
  if (schema.columns.size() > kCsvColumnsMax || schema.label >= schema.columns.size()) return "its label has no column";
  if (schema.label_kind > CsvLabel::kNames || !sorted(schema.class_names)) return "its classes are not sorted";
  for (std::size_t i = 0; i < schema.columns.size(); ++i) {
    const CsvColumn& column = schema.columns[i];
    if (column.type > CsvType::kLabel || (column.type == CsvType::kLabel) != (i == schema.label)) return "a column is of no type";
    if (!sorted(column.categories)) return "a column's categories are not sorted";
    if (!std::isfinite(column.filler)) return "what stands for a missing number is none";
  }
  return nullptr;
}

}  // namespace

std::uint64_t CsvColumn::features() const {
  if (type == CsvType::kNumber) return 1;
  if (type != CsvType::kText) return 0;
  return hashed ? std::uint64_t{1} << kCsvHashBits : categories.size();
}

std::optional<std::uint64_t> CsvColumn::feature_of(std::string_view category) const {
  if (hashed) return first + (XXH3_64bits(category.data(), category.size()) & ((std::uint64_t{1} << kCsvHashBits) - 1));
  const auto it = std::lower_bound(categories.begin(), categories.end(), category);
  if (it == categories.end() || *it != category) return std::nullopt;
  return first + static_cast<std::uint64_t>(it - categories.begin());
}

bool CsvSchema::has_text() const {
  return std::any_of(columns.begin(), columns.end(), [](const CsvColumn& c) { return c.type == CsvType::kText; });
}

void CsvSchema::lay_out() {
  std::uint64_t next = 0;
  for (CsvColumn& column : columns) {
    column.first = next;
    next += column.features();
  }
}

bool is_missing(std::string_view cell) {
  constexpr std::array<std::string_view, 8> kMissing = {"", "NA", "N/A", "nan", "NaN", "null", "NULL", "?"};
  return cell.size() <= 4 && std::find(kMissing.begin(), kMissing.end(), cell) != kMissing.end();
}

std::optional<float> csv_number(std::string_view cell) {
  const std::string_view digits = past_sign(cell);
  float value = 0;
  if (read_short_decimal(digits.data(), digits.data() + digits.size(), value) == digits.data() + digits.size() && !digits.empty()) return value;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || digits.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range)  // too small for a float is zero
    return std::abs(std::strtod(std::string(digits).c_str(), nullptr)) < 1 ? 0.0F : std::numeric_limits<float>::infinity();
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> csv_whole(std::string_view cell) {
  const std::string_view digits = past_sign(cell);
  std::int64_t whole = 0;
  const char* const stop = digits.data() + digits.size();
  if (const auto [end, error] = std::from_chars(digits.data(), stop, whole); error == std::errc() && end == stop) return whole;
  double number = 0;
  if (const auto [end, error] = std::from_chars(digits.data(), stop, number); error != std::errc() || end != stop) return std::nullopt;
  if (number != std::floor(number) || std::abs(number) > 1e15) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

char guess_separator(std::string_view text) {
  constexpr std::string_view kKnown = ",;\t|";
  std::array<std::size_t, 4> counts{};
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') quoted = !quoted;
    if (c == '\n' && !quoted) break;
    if (const std::size_t i = kKnown.find(c); i != std::string_view::npos && !quoted) ++counts[i];
  }
  return kKnown[static_cast<std::size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin())];
}

Result<CsvSchema> guess_schema(std::string_view text, char separator, const std::string& path, const proto::DataSpec& spec) {
  CsvSchema schema;
  schema.separator = separator;
  schema.refuse_missing = spec.csv.missing == "refuse";
  const Sample sample(text, schema.separator);
  if (sample.rows.empty()) return fail(Errc::kBadData, fmt::format("{}: no rows", path));
  const std::vector<std::string>& first = sample.rows.front();
  schema.header = spec.csv.header == "yes" || (spec.csv.header == "auto" && guess_header(first));
  if (first.size() > kCsvColumnsMax) return fail(Errc::kBadData, fmt::format("{}: {} columns, more than {}", path, first.size(), kCsvColumnsMax));
  if (first.size() < 2)
    return fail(Errc::kBadData, fmt::format("{}: one column only, where a label and at least one feature are needed; the separator {} '{}'", path,
                                            spec.csv.separator.empty() ? "was taken for" : "is", schema.separator));
  for (std::size_t i = 0; i < first.size(); ++i) schema.columns.push_back({.name = schema.header ? first[i] : fmt::format("column {}", i + 1)});
  const auto rows = std::span(sample.rows).subspan(schema.header ? 1 : 0);
  for (std::size_t i = 0; i < first.size(); ++i) {
    const bool word = std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return i < row.size() && !is_missing(row[i]) && !csv_number(row[i]); });
    if (word) schema.columns[i].type = CsvType::kText;
  }
  if (auto placed = place(schema, path, spec.csv); !placed) return fail(placed.error());
  if (auto guessed = guess_label(schema, rows, path, spec.labels); !guessed) return fail(guessed.error());
  return schema;
}

std::string to_bytes(const CsvSchema& schema) {
  Json columns = Json::array();
  for (const CsvColumn& c : schema.columns)
    columns.push_back({c.name, static_cast<int>(c.type), c.type == CsvType::kText ? Json(c.categories) : Json(c.filler), c.hashed});
  const Json out = {{"separator", std::string(1, schema.separator)},
                    {"header", schema.header},
                    {"refuse_missing", schema.refuse_missing},
                    {"label_kind", static_cast<int>(schema.label_kind)},
                    {"label", schema.label},
                    {"class_names", schema.class_names},
                    {"columns", std::move(columns)}};
  const std::vector<std::uint8_t> bytes = Json::to_cbor(out);
  return {bytes.begin(), bytes.end()};
}

Result<CsvSchema> csv_schema_from_bytes(const std::string& bytes) {
  CsvSchema out;
  try {
    const Json in = Json::from_cbor(bytes);
    out.separator = in.at("separator").get<std::string>().at(0);
    out.header = in.at("header");
    out.refuse_missing = in.at("refuse_missing");
    out.label_kind = static_cast<CsvLabel>(in.at("label_kind").get<int>());
    out.label = in.at("label");
    out.class_names = in.at("class_names").get<std::vector<std::string>>();
    for (const Json& c : in.at("columns")) {
      CsvColumn& column = out.columns.emplace_back();
      column.name = c.at(0);
      column.type = static_cast<CsvType>(c.at(1).get<int>());
      if (column.type == CsvType::kText) {
        column.categories = c.at(2).get<std::vector<std::string>>();
      } else {
        column.filler = c.at(2);
      }
      column.hashed = c.at(3);
    }
  } catch (const std::exception& error) { return fail(Errc::kBadData, fmt::format("a CSV schema that can't be read: {}", error.what())); }
  if (const char* const wrong = inconsistent(out)) return fail(Errc::kBadData, fmt::format("a CSV schema that can't be: {}", wrong));
  out.lay_out();
  return out;
}

std::string describe(const CsvSchema& schema) {
  std::size_t numbers = 0, texts = 0, skipped = 0, told = 0;
  std::string categories;
  for (const CsvColumn& c : schema.columns) {
    numbers += c.type == CsvType::kNumber ? 1 : 0;
    texts += c.type == CsvType::kText ? 1 : 0;
    skipped += c.type == CsvType::kSkipped ? 1 : 0;
    if (c.type != CsvType::kText || ++told > 8) continue;
    categories +=
        fmt::format("{}'{}' {}", told > 1 ? ", " : "", c.name, c.hashed ? fmt::format("hashed to {}", c.features()) : std::to_string(c.categories.size()));
  }
  if (told > 8) categories += ", …";
  return fmt::format("{} columns: {} numbers, {} text{}{}; label '{}'", schema.columns.size(), numbers, texts,
                     texts > 0 ? fmt::format(" (categories: {})", categories) : "", skipped > 0 ? fmt::format(", {} skipped", skipped) : "",
                     schema.columns[schema.label].name);
}

}  // namespace sluice::worker::data
