#include "worker/data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "worker/data/npy_array.h"
#include "worker/data/npz.h"

namespace sluice::worker::data {
namespace {

constexpr std::size_t kNpyClassesMax = 65536;

/// A zip archive's bytes as they are.
Result<std::vector<std::byte>> read_archive(const ReadSome& read) {
  std::vector<std::byte> out;
  for (;;) {
    const std::size_t before = out.size();
    out.resize(before + std::max<std::size_t>(std::size_t{4} << 20, before / 2));
    const auto got = read(std::span(out).subspan(before));
    if (!got) return fail(got.error());
    out.resize(before + *got);
    if (*got == 0) return out;
  }
}

/// Two arrays and what they are called.
struct NpyPair {
  NpyArray x, y;
  std::string x_name, y_name;
};

/// Words, if the arrays are no rows and labels of each other.
std::optional<Error> mismatch(const NpyPair& part, const Mapping* mapping) {
  const auto bad = [](const std::string& name, const std::string& what) { return Error{Errc::kBadData, name + ": " + what}; };
  const NpyArray &x = part.x, &y = part.y;
  if (x.shape.size() < 2) return bad(part.x_name, fmt::format("an array of {} where rows × columns are expected (the order is X, y)", x.words()));
  if (y.shape.empty() || y.columns() != 1)
    return bad(part.y_name, fmt::format("an array of {} where one label a row is expected (the order is X, y)", y.words()));
  if (x.rows() != y.rows()) return bad(part.y_name, fmt::format("{} labels for the {} rows of {}", y.rows(), x.rows(), part.x_name));
  if (x.rows() == 0) return bad(part.x_name, "no rows");
  if (x.columns() == 0) return bad(part.x_name, fmt::format("no columns: an array of {}", x.words()));
  if (mapping != nullptr && mapping->features != x.columns())
    return bad(part.x_name, fmt::format("rows of {} columns, but those of the training data have {}", x.columns(), mapping->features));
  return std::nullopt;
}

class NpyRows {
 public:
  NpyRows(const NpyPair& part, proto::LabelKind kind, const Mapping* mapping) : part_(part), mapping_(mapping) {
    rows_.regression = kind == proto::LabelKind::kTargets;
    if (mapping != nullptr) rows_.mapping = *mapping;
    rows_.mapping.features = part.x.columns();
  }

  Result<Rows> read() {
    const std::uint64_t rows = part_.x.rows();
    const std::size_t width = part_.x.columns();
    rows_.dense.reserve(rows * width);
    std::vector<double> row(width), label(1);
    for (std::uint64_t i = 0; i < rows; ++i) {
      part_.x.read_row(i, row);
      part_.y.read_row(i, label);
      if (!keep_label(i, label[0])) continue;
      if (const auto column = not_finite(row)) {
        bad(i, fmt::format("column {} of X holds {}, not a finite number", *column, row[*column]));
        (rows_.regression ? (void)rows_.targets.pop_back() : (void)labels_.pop_back());
        continue;
      }
      for (const double value : row) rows_.dense.push_back(static_cast<float>(value));
    }
    return rows_.regression ? std::move(rows_) : finish_classes();
  }

 private:
  void bad(std::uint64_t row, const std::string& what) {
    if (rows_.bad_rows++ == 0) rows_.first_bad = fmt::format("row {}: {}", row, what);
  }
  static bool fits_float(double value) { return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max()); }
  static std::optional<std::size_t> not_finite(const std::vector<double>& row) {
    const auto it = std::find_if_not(row.begin(), row.end(), fits_float);  // false for NaN
    if (it == row.end()) return std::nullopt;
    return static_cast<std::size_t>(it - row.begin());
  }

  bool keep_label(std::uint64_t row, double label) {
    if (rows_.regression) {
      if (!fits_float(label)) return bad(row, fmt::format("target {} is not a finite number", label)), false;
      rows_.targets.push_back(static_cast<float>(label));
      return true;
    }
    if (!(std::abs(label) <= 1e15) || label != std::floor(label))
      return bad(row, fmt::format("label {} is not a whole number; numbers to learn by regression are said by labels: targets", label)), false;
    const auto whole = static_cast<std::int64_t>(label);
    if (mapping_ != nullptr && !mapping_->class_of(whole)) return bad(row, fmt::format("label {} does not occur in the training data", whole)), false;
    labels_.push_back(whole);
    return true;
  }

  Result<Rows> finish_classes() {
    std::vector<std::int64_t>& distinct = rows_.mapping.labels;
    if (mapping_ == nullptr) {
      distinct = labels_;
      std::sort(distinct.begin(), distinct.end());
      distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
      if (distinct.size() > kNpyClassesMax)
        return fail(Errc::kBadData, fmt::format("{}: {} distinct labels; classes are meant, at most {} (numbers to learn by regression: labels: targets)",
                                                part_.y_name, distinct.size(), kNpyClassesMax));
    }
    for (const std::int64_t label : labels_) rows_.classes.push_back(*rows_.mapping.class_of(label));
    return std::move(rows_);
  }

  const NpyPair& part_;
  const Mapping* const mapping_;
  Rows rows_;
  std::vector<std::int64_t> labels_;
};

}  // namespace

Result<Rows> read_npy(std::vector<SourceFile>& files, const std::vector<std::string>& paths, proto::LabelKind kind, const Mapping* mapping,
                      const Progress& progress) {
  std::vector<std::vector<std::byte>> bytes;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto read = [&](std::span<std::byte> into) {
      auto got = files[i].read(into);
      if (progress) progress(files[i].percent());
      return got;
    };
    auto whole = files.size() == 1 ? read_archive(read) : read_npy_bytes(read, paths[i]);
    if (!whole) return fail(whole.error());
    bytes.push_back(std::move(*whole));
  }
  NpyPair part{{}, {}, paths.front(), paths.back()};
  if (files.size() == 1) {
    part.x_name += ", array X";
    part.y_name += ", array y";
    const auto archive = std::move(bytes.front());
    bytes.clear();
    for (const char* name : {"X", "y"}) {
      auto array = read_npz(archive, paths.front(), name);
      if (!array) return fail(array.error());
      bytes.push_back(std::move(*array));
    }
  }
  auto x = parse_npy(bytes[0], part.x_name);
  if (!x) return fail(x.error());
  auto y = parse_npy(bytes[1], part.y_name);
  if (!y) return fail(y.error());
  part.x = std::move(*x);
  part.y = std::move(*y);
  if (auto error = mismatch(part, mapping)) return fail(std::move(*error));
  return NpyRows(part, kind, mapping).read();
}

}  // namespace sluice::worker::data
