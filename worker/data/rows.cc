#include "worker/data/rows.h"

#include <algorithm>

namespace sluice::worker::data {
namespace {

void append_row(const Rows& from, std::uint64_t row, Rows& to) {
  if (from.regression) {
    to.targets.push_back(from.targets[row]);
  } else {
    to.classes.push_back(from.classes[row]);
  }
  const auto copy = [](const auto& values, std::uint64_t begin, std::uint64_t end, auto& into) {
    into.insert(into.end(), values.begin() + static_cast<std::ptrdiff_t>(begin), values.begin() + static_cast<std::ptrdiff_t>(end));
  };
  if (from.sparse) {
    copy(from.indices, from.offsets[row], from.offsets[row + 1], to.indices);
    copy(from.values, from.offsets[row], from.offsets[row + 1], to.values);
    to.offsets.push_back(to.indices.size());
  } else {
    const std::uint64_t width = from.mapping.features;
    if (!from.dense.empty()) copy(from.dense, row * width, (row + 1) * width, to.dense);
    if (!from.pixels.empty()) copy(from.pixels, row * width, (row + 1) * width, to.pixels);
  }
}

}  // namespace

std::pair<Rows, Rows> cut_rows(const Rows& rows, const std::vector<std::uint64_t>& second) {
  std::pair<Rows, Rows> out;
  for (Rows* part : {&out.first, &out.second}) {
    part->sparse = rows.sparse;
    part->regression = rows.regression;
    part->mapping = rows.mapping;
    if (rows.sparse) part->offsets.push_back(0);
  }
  out.first.bad_rows = rows.bad_rows;
  out.first.first_bad = rows.first_bad;
  auto next = second.begin();
  for (std::uint64_t row = 0; row < rows.count(); ++row) {
    const bool held = next != second.end() && *next == row;
    if (held) ++next;
    append_row(rows, row, held ? out.second : out.first);
  }
  return out;
}

}  // namespace sluice::worker::data
