#include "worker/data/csv.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "worker/data/csv_piece.h"
#include "worker/data/text_blocks.h"

namespace sluice::worker::data {
namespace {

constexpr std::size_t kCsvPieceBytes = std::size_t{512} << 10;
constexpr std::size_t kCsvGuessBytes = std::size_t{16} << 20;
constexpr std::size_t kClassesMost = 65536;

/// Sorted distinct words, and for each word's id its place among them.
struct Sorted {
  std::vector<std::string> words;
  std::vector<std::uint32_t> place;
  explicit Sorted(const Words& met) : words(met.all().begin(), met.all().end()), place(words.size()) {
    std::vector<std::uint32_t> order(words.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return met.all()[a] < met.all()[b]; });
    for (std::uint32_t i = 0; i < order.size(); ++i) {
      place[order[i]] = i;
      words[i] = met.all()[order[i]];
    }
  }
};

class CsvReader {
 public:
  CsvReader(SourceFile& file, const std::string& path, const proto::DataSpec& spec, const CsvOptions& options)
      : file_(file), path_(path), spec_(spec), options_(options) {}

  Result<Rows> read(const Progress& progress) {
    auto done = read_blocks(file_, options_.block_bytes, progress, [&](std::string_view text, bool ended) -> Result<std::size_t> {
      const std::size_t mark = !started_ && text.starts_with("\xef\xbb\xbf") ? 3 : 0;  // a byte-order mark
      if (!started_ && (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")))
        return fail(Errc::kBadData, fmt::format("{}: UTF-16 text; UTF-8 is read: iconv -f UTF-16 -t UTF-8 {} would make it", path_, path_));
      text.remove_prefix(mark);
      const auto whole = take(text, ended);
      if (!whole) return whole;
      if (text.size() - *whole > options_.record_bytes_max) return never_ends(text.substr(*whole));
      return *whole == 0 ? 0 : mark + *whole;
    });
    if (!done) return fail(done.error());
    if (!started_) return fail(Errc::kBadData, fmt::format("{}: no rows", path_));
    return finish();
  }

 private:
  /// Parses the whole records of `text`; returns how long they are.
  Result<std::size_t> take(std::string_view text, bool ended) {
    if (!started_) {
      // What columns are is decided by as many rows whatever the blocks' size.
      const bool enough = text.size() >= std::min(kCsvGuessBytes, options_.record_bytes_max) ||
                          static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) > kCsvGuessRows;
      if (!ended && !enough) return 0;
      if (auto chosen = choose_separator(text); !chosen) return fail(chosen.error());
    }
    std::vector<std::string_view> pieces;
    std::size_t whole = cut_records(text, separator_, kCsvPieceBytes, pieces);
    if (ended && whole < text.size()) {
      if (quote_open(text.substr(whole))) return never_closed(text, whole);
      pieces.push_back(text.substr(whole));
      whole = text.size();
    }
    if (pieces.empty()) return whole;
    if (!started_) {
      if (auto done = start(text.substr(0, whole)); !done) return fail(done.error());
      if (schema_.header) skip_header(pieces);
    }
    parse(pieces);
    return whole;
  }

  /// A test file's is the training file's.
  Result<void> choose_separator(std::string_view text) {
    if (options_.mapping != nullptr) {
      const auto training = csv_schema_from_bytes(options_.mapping->schema);
      if (!training) return fail(training.error());
      separator_ = training->separator;
    } else {
      separator_ = spec_.csv.separator.empty() ? guess_separator(text) : spec_.csv.separator[0];
    }
    return {};
  }

  Result<void> start(std::string_view text) {
    started_ = true;
    if (text.find('\0') != std::string_view::npos) return fail(Errc::kBadData, fmt::format("{}: holds zero bytes: not a text file", path_));
    proto::DataSpec spec = spec_;
    if (options_.mapping != nullptr) {  // what its columns mean is known; only their names are read, and looked at before any cell
      spec.csv.label.clear(), spec.csv.text.clear(), spec.csv.skip.clear();
      spec.labels = proto::LabelKind::kTargets;
    }
    auto guessed = guess_schema(text, separator_, path_, spec);
    if (!guessed) return fail(guessed.error());
    schema_ = std::move(*guessed);
    if (options_.mapping != nullptr) {
      auto training = csv_schema_from_bytes(options_.mapping->schema);
      if (!training) return fail(training.error());
      if (auto same = follow(*training); !same) return same;
      schema_ = std::move(*training);
    }
    for (const CsvColumn& column : schema_.columns) {
      number_columns_ += column.type == CsvType::kNumber ? 1 : 0;
      text_columns_ += column.type == CsvType::kText ? 1 : 0;
    }
    words_ = std::vector<Words>(text_columns_);
    return {};
  }

  /// The test file's columns are the training file's.
  Result<void> follow(const CsvSchema& training) {
    if (schema_.columns.size() != training.columns.size())
      return fail(Errc::kBadData, fmt::format("{}: {} columns, but the training data has {}", path_, schema_.columns.size(), training.columns.size()));
    // A training file without a header decides that the first line is a row; with one, the names must be the same.
    for (std::size_t i = 0; training.header && i < schema_.columns.size(); ++i) {
      if (!schema_.header) return fail(Errc::kBadData, fmt::format("{}: its first line is no header, as the training data has one", path_));
      if (schema_.columns[i].name != training.columns[i].name)
        return fail(Errc::kBadData, fmt::format("{}: column {} is called '{}', in the training data '{}'", path_, i + 1, schema_.columns[i].name.substr(0, 80),
                                                training.columns[i].name.substr(0, 80)));
    }
    return {};
  }

  /// Takes the first record that is not blank away; counts its lines.
  void skip_header(std::vector<std::string_view>& pieces) {
    std::vector<CsvCell> cells;
    CsvTrouble trouble;
    for (std::string_view& piece : pieces) {
      while (!piece.empty() && cells.empty()) {
        const std::size_t end = std::min(record_end(piece, 0, separator_), piece.size());
        (void)read_cells(piece.substr(0, end), separator_, cells, trouble);
        lines_ += static_cast<std::uint64_t>(std::count(piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
        piece.remove_prefix(end);
      }
    }
  }

  void parse(const std::vector<std::string_view>& texts) {
    std::vector<CsvPiece> pieces;
    pieces.reserve(texts.size());
    for (std::size_t i = 0; i < texts.size(); ++i) pieces.emplace_back(text_columns_);
    const auto* labels = options_.mapping != nullptr ? &options_.mapping->labels : nullptr;
    tbb::parallel_for(std::size_t{0}, texts.size(), [&](std::size_t i) { parse_records(texts[i], schema_, labels, pieces[i]); });
    for (CsvPiece& piece : pieces) append(CsvPiece(std::move(piece)));
  }

  void append(CsvPiece piece) {
    if (piece.bad_rows > 0 && rows_.bad_rows == 0) rows_.first_bad = fmt::format("{}:{}: {}", lines_ + piece.bad_line, piece.bad_column, piece.bad_what);
    rows_.bad_rows += piece.bad_rows;
    lines_ += piece.lines;
    count_ += piece.rows;
    numbers_.insert(numbers_.end(), piece.numbers.begin(), piece.numbers.end());
    targets_.insert(targets_.end(), piece.targets.begin(), piece.targets.end());
    labels_.insert(labels_.end(), piece.labels.begin(), piece.labels.end());
    std::vector<std::vector<std::uint32_t>> ids(text_columns_);  // the piece's → ours
    for (std::size_t c = 0; c < text_columns_; ++c) {
      for (const std::string& word : piece.words[c].all()) ids[c].push_back(words_[c].id(word));
    }
    for (std::size_t i = 0; i < piece.texts.size(); ++i) texts_.push_back(piece.texts[i] == kNoWord ? kNoWord : ids[i % text_columns_][piece.texts[i]]);
    std::vector<std::uint32_t> labels;
    for (const std::string& word : piece.label_words.all()) labels.push_back(label_words_.id(word));
    for (const std::uint32_t name : piece.names) label_names_.push_back(labels[name]);
  }

  Result<Rows> finish() {
    if (options_.mapping == nullptr) complete();
    if (schema_.features() == 0) return fail(Errc::kBadData, fmt::format("{}: no column is left to learn from", path_));
    if (schema_.features() > 0xfffffffe) return fail(Errc::kBadData, fmt::format("{}: {} features are more than are read", path_, schema_.features()));
    if (auto done = finish_labels(); !done) return fail(done.error());
    rows_.sparse = schema_.sparse();
    rows_.mapping.features = schema_.features();
    rows_.mapping.schema = options_.mapping != nullptr ? options_.mapping->schema : to_bytes(schema_);
    lay_out();
    return std::move(rows_);
  }

  /// What only all rows tell: categories, and means for what is missing.
  void complete() {
    std::size_t number = 0, text = 0;
    for (CsvColumn& column : schema_.columns) {
      if (column.type == CsvType::kNumber) {
        double sum = 0;
        std::uint64_t present = 0;
        for (std::size_t i = number++; i < numbers_.size() && spec_.csv.missing == "mean"; i += number_columns_) {
          if (std::isnan(numbers_[i])) continue;
          sum += static_cast<double>(numbers_[i]);
          ++present;
        }
        column.filler = present > 0 ? sum / static_cast<double>(present) : 0;
      } else if (column.type == CsvType::kText) {
        const Words& met = words_[text++];
        column.hashed = met.all().size() > kCsvCategoriesMax;
        if (!column.hashed) column.categories = Sorted(met).words;
      }
    }
    schema_.lay_out();
  }

  Result<void> finish_labels() {
    Mapping& mapping = rows_.mapping;
    if (options_.mapping != nullptr) mapping.labels = options_.mapping->labels;
    if (schema_.label_kind == CsvLabel::kTargets) {
      rows_.regression = true;
      rows_.targets = std::move(targets_);
      return {};
    }
    const bool names = schema_.label_kind == CsvLabel::kNames;
    if (options_.mapping == nullptr) {
      if (names) {
        schema_.class_names = Sorted(label_words_).words;
        mapping.labels.resize(schema_.class_names.size());
        std::iota(mapping.labels.begin(), mapping.labels.end(), std::int64_t{0});
      } else {
        mapping.labels = labels_;
        std::sort(mapping.labels.begin(), mapping.labels.end());
        mapping.labels.erase(std::unique(mapping.labels.begin(), mapping.labels.end()), mapping.labels.end());
      }
      if (mapping.labels.size() > kClassesMost)
        return fail(Errc::kBadData,
                    fmt::format("{}: {} distinct labels in column '{}'; classes are meant, at most {} (numbers to learn by regression: labels: targets)", path_,
                                mapping.labels.size(), schema_.columns[schema_.label].name, kClassesMost));
    }
    std::vector<std::uint32_t> class_of_name;
    for (const std::string& word : label_words_.all())
      class_of_name.push_back(
          static_cast<std::uint32_t>(std::lower_bound(schema_.class_names.begin(), schema_.class_names.end(), word) - schema_.class_names.begin()));
    for (const std::uint32_t name : label_names_) rows_.classes.push_back(class_of_name[name]);
    for (const std::int64_t label : labels_) rows_.classes.push_back(*mapping.class_of(label));
    return {};
  }

  /// numbers_ and texts_ become the rows' features.
  void lay_out() {
    std::vector<std::vector<std::uint32_t>> features(text_columns_);  // of each word; kNoWord: none
    std::size_t text = 0;
    for (const CsvColumn& column : schema_.columns) {
      if (column.type != CsvType::kText) continue;
      for (const std::string& word : words_[text].all()) {
        const auto feature = column.feature_of(word);
        features[text].push_back(feature ? static_cast<std::uint32_t>(*feature) : kNoWord);
      }
      ++text;
    }
    const std::size_t width = schema_.features();
    if (rows_.sparse) {
      rows_.offsets.push_back(0);
    } else {
      rows_.dense.resize(count_ * width);
    }
    std::size_t number = 0, word = 0;
    for (std::uint64_t row = 0; row < count_; ++row) {
      float* const dense = rows_.sparse ? nullptr : rows_.dense.data() + row * width;
      text = 0;
      for (const CsvColumn& column : schema_.columns) {
        if (column.type == CsvType::kNumber) {
          const float value = numbers_[number++];
          put(dense, static_cast<std::uint32_t>(column.first), std::isnan(value) ? static_cast<float>(column.filler) : value);
        } else if (column.type == CsvType::kText) {
          const std::uint32_t id = texts_[word++], feature = id == kNoWord ? kNoWord : features[text][id];
          if (feature != kNoWord) put(dense, feature, 1);
          ++text;
        }
      }
      if (rows_.sparse) rows_.offsets.push_back(rows_.indices.size());
    }
  }
  void put(float* dense, std::uint32_t feature, float value) {
    if (dense != nullptr) {
      dense[feature] = value;
    } else if (value != 0) {
      rows_.indices.push_back(feature);
      rows_.values.push_back(value);
    }
  }

  [[nodiscard]] bool quote_open(std::string_view rest) const {
    std::vector<CsvCell> cells;
    CsvTrouble trouble;
    return !read_cells(rest, separator_, cells, trouble) && trouble.what.find("never closed") != std::string::npos;
  }
  tl::unexpected<Error> never_closed(std::string_view text, std::size_t whole) const {
    std::vector<CsvCell> cells;
    CsvTrouble trouble;
    (void)read_cells(text.substr(whole), separator_, cells, trouble);
    const std::string_view before = text.substr(0, whole + trouble.at);
    const std::size_t line = before.rfind('\n');
    return fail(Errc::kBadData, fmt::format("{}:{}:{}: {}; all that follows would be one cell", path_,
                                            lines_ + 1 + static_cast<std::uint64_t>(std::count(before.begin(), before.end(), '\n')),
                                            line == std::string_view::npos ? before.size() + 1 : before.size() - line, trouble.what));
  }
  tl::unexpected<Error> never_ends(std::string_view text) const {
    if (quote_open(text)) return never_closed(text, 0);
    return fail(Errc::kBadData, fmt::format("{}:{}: a line of more than {} bytes: is this a CSV file?", path_, lines_ + 1, options_.record_bytes_max));
  }

  SourceFile& file_;
  const std::string& path_;
  const proto::DataSpec& spec_;
  const CsvOptions& options_;
  bool started_ = false;
  char separator_ = 0;
  CsvSchema schema_;
  std::size_t number_columns_ = 0, text_columns_ = 0;
  Rows rows_;
  std::uint64_t count_ = 0, lines_ = 0;
  std::vector<float> numbers_, targets_;
  std::vector<std::uint32_t> texts_, label_names_;
  std::vector<Words> words_;
  Words label_words_;
  std::vector<std::int64_t> labels_;
};

}  // namespace

Result<Rows> read_csv(SourceFile& file, const std::string& path, const proto::DataSpec& spec, const CsvOptions& options, const Progress& progress) {
  return CsvReader(file, path, spec, options).read(progress);
}

}  // namespace sluice::worker::data
