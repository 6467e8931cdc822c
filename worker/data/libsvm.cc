#include "worker/data/libsvm.h"

#include <fmt/format.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <string_view>

#include "worker/data/libsvm_line.h"
#include "worker/data/text_blocks.h"

namespace sluice::worker::data {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{512} << 10;
constexpr std::size_t kClassesMax = 65536;

/// Cuts text at line ends into pieces of about kPieceBytes.
std::vector<std::string_view> cut(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t newline = text.size() > kPieceBytes ? text.find('\n', kPieceBytes) : std::string_view::npos;
    const std::size_t size = newline == std::string_view::npos ? text.size() : newline + 1;
    out.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

class Reader {
 public:
  Reader(SourceFile& file, const std::string& path, const LibsvmOptions& options) : file_(file), path_(path), options_(options) {
    rules_.mapping = options.mapping;
    rules_.targets = rows_.regression = options.targets;
    if (options.features > 0) rules_.index_max = std::min(rules_.index_max, options.features);
    rows_.sparse = true;
    rows_.offsets.push_back(0);
  }

  Result<Rows> read(const Progress& progress) {
    auto done = read_blocks(file_, options_.block_bytes, progress, [&](std::string_view text, bool ended) -> Result<std::size_t> {
      const std::size_t newline = text.rfind('\n');
      const std::size_t whole = ended ? text.size() : newline == std::string_view::npos ? 0 : newline + 1;
      if (text.size() - whole > options_.line_bytes_max)
        return fail(Errc::kBadData, fmt::format("{}:{}: a line of more than {} bytes: is this a libsvm file?", path_, lines_ + 1, options_.line_bytes_max));
      parse(text.substr(0, whole));
      return whole;
    });
    if (!done) return fail(done.error());
    return finish();
  }

 private:
  void parse(std::string_view text) {
    const auto parts = cut(text);
    if (pieces_.size() < parts.size()) pieces_.resize(parts.size());
    tbb::parallel_for(std::size_t{0}, parts.size(), [&](std::size_t i) {
      pieces_[i].clear();
      parse_lines(parts[i], rules_, pieces_[i]);
    });
    if (parsed_ == 0) expect(parts);
    for (std::size_t i = 0; i < parts.size(); ++i) append(pieces_[i]);
    parsed_ += text.size();
  }

  /// Room for what the whole file will hold if it goes on as it begins, so that rows are not copied again and again as they become more. Memory that is not
  /// written to is none.
  void expect(const std::vector<std::string_view>& parts) {
    std::size_t bytes = 0, rows = 0, entries = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      bytes += parts[i].size();
      rows += pieces_[i].lengths.size();
      entries += pieces_[i].indices.size();
    }
    const std::uint64_t file = file_.identity().size;
    if (bytes == 0 || file <= bytes) return;
    const double times = 1.05 * static_cast<double>(file) / static_cast<double>(bytes);
    const auto whole = [times](std::size_t n) { return static_cast<std::size_t>(times * static_cast<double>(n)); };
    rows_.indices.reserve(whole(entries));
    rows_.values.reserve(whole(entries));
    rows_.offsets.reserve(whole(rows));
    if (options_.targets) {
      rows_.targets.reserve(whole(rows));
    } else {
      labels_.reserve(whole(rows));
    }
  }

  void append(const Piece& piece) {
    if (piece.bad_rows > 0 && rows_.bad_rows == 0) rows_.first_bad = fmt::format("{}:{}: {}", lines_ + piece.bad_line, piece.bad_column, piece.bad_what);
    rows_.bad_rows += piece.bad_rows;
    lines_ += piece.lines;
    labels_.insert(labels_.end(), piece.labels.begin(), piece.labels.end());
    rows_.targets.insert(rows_.targets.end(), piece.targets.begin(), piece.targets.end());
    rows_.indices.insert(rows_.indices.end(), piece.indices.begin(), piece.indices.end());
    rows_.values.insert(rows_.values.end(), piece.values.begin(), piece.values.end());
    for (const std::uint32_t length : piece.lengths) rows_.offsets.push_back(rows_.offsets.back() + length);
  }

  Result<Rows> finish() {
    if (options_.mapping != nullptr) {
      rows_.mapping = *options_.mapping;
      for (const std::int64_t label : labels_) rows_.classes.push_back(static_cast<std::uint32_t>(label));
      return std::move(rows_);
    }
    Mapping& mapping = rows_.mapping;
    mapping.labels = labels_;
    std::sort(mapping.labels.begin(), mapping.labels.end());
    mapping.labels.erase(std::unique(mapping.labels.begin(), mapping.labels.end()), mapping.labels.end());
    if (mapping.labels.size() > kClassesMax)
      return fail(Errc::kBadData, fmt::format("{}: {} distinct labels; classes are meant, at most {} (numbers to learn by regression: labels: targets)", path_,
                                              mapping.labels.size(), kClassesMax));
    rows_.classes.reserve(labels_.size());
    for (const std::int64_t label : labels_) rows_.classes.push_back(*mapping.class_of(label));
    const auto [smallest, largest] = std::minmax_element(rows_.indices.begin(), rows_.indices.end());
    mapping.index_base = smallest != rows_.indices.end() && *smallest == 0 ? 0 : 1;
    const std::uint64_t met = largest == rows_.indices.end() ? 0 : std::uint64_t{*largest} + 1 - mapping.index_base;
    mapping.features = options_.features > 0 ? options_.features : met;
    if (met > mapping.features)
      return fail(Errc::kBadData, fmt::format("{}: index {} with {} features declared, and indices that start at 0", path_, met - 1, mapping.features));
    for (std::uint32_t& index : rows_.indices) index -= mapping.index_base;
    return std::move(rows_);
  }

  SourceFile& file_;
  const std::string& path_;
  const LibsvmOptions& options_;
  LineRules rules_;
  Rows rows_;
  std::vector<std::int64_t> labels_;
  std::vector<Piece> pieces_;  ///< of one block; they keep their memory
  std::uint64_t parsed_ = 0;   ///< bytes
  std::uint64_t lines_ = 0;
};

}  // namespace

std::optional<std::uint32_t> Mapping::class_of(std::int64_t label) const {
  const auto it = std::lower_bound(labels.begin(), labels.end(), label);
  if (it == labels.end() || *it != label) return std::nullopt;
  return static_cast<std::uint32_t>(it - labels.begin());
}

Result<Rows> read_libsvm(SourceFile& file, const std::string& path, const LibsvmOptions& options, const Progress& progress) {
  return Reader(file, path, options).read(progress);
}

}  // namespace sluice::worker::data
