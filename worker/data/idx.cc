#include "worker/data/idx.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace sluice::worker::data {
namespace {

constexpr std::size_t kStepBytes = std::size_t{4} << 20;
constexpr std::uint64_t kBytesMax = std::uint64_t{1} << 40;
constexpr std::uint8_t kUnsignedByte = 0x08;

struct Array {
  std::uint64_t items = 0;
  std::uint64_t item_bytes = 1;
  std::vector<std::uint8_t> bytes;
};

tl::unexpected<Error> bad(const std::string& path, const std::string& what) { return fail(Errc::kBadData, path + ": " + what); }

Result<std::uint32_t> read_word(SourceFile& file, const std::string& path) {
  std::array<std::byte, 4> raw;
  const auto got = file.read(raw);
  if (!got) return fail(got.error());
  if (*got < raw.size()) return bad(path, "the IDX header is cut off");
  std::uint32_t word = 0;
  for (const std::byte b : raw) word = word << 8 | std::to_integer<std::uint32_t>(b);  // big-endian
  return word;
}

/// Reads the header into array's sizes. `what` is "image" or "label".
Result<Array> read_header(SourceFile& file, const std::string& path, const std::string& what, bool images) {
  const auto magic = read_word(file, path);
  if (!magic) return fail(magic.error());
  const std::uint32_t type = *magic >> 8, dimensions = *magic & 0xff;
  if (type >> 8 != 0 || dimensions == 0 || dimensions > 8)
    return bad(path, fmt::format("not an IDX {} file: it begins with {:#010x} instead of {:#010x}", what, *magic, images ? 0x803 : 0x801));
  if (type != kUnsignedByte) return bad(path, fmt::format("IDX element type {:#04x} is not supported, only unsigned bytes (0x08)", type));
  if (images && dimensions == 1) return bad(path, "an IDX label file where the images are expected (the order is images, labels)");
  if (!images && dimensions != 1) return bad(path, "an IDX image file where the labels are expected (the order is images, labels)");
  Array array;
  for (std::uint32_t d = 0; d < dimensions; ++d) {
    const auto size = read_word(file, path);
    if (!size) return fail(size.error());
    if (d == 0) {
      array.items = *size;
    } else {
      array.item_bytes *= *size;
    }
    if (array.item_bytes == 0 || array.item_bytes > kBytesMax || array.items * array.item_bytes > kBytesMax)
      return bad(path, "the IDX header names impossible sizes");
  }
  return array;
}

Result<Array> read_array(SourceFile& file, const std::string& path, const std::string& what, bool images, const Progress& progress) {
  auto array = read_header(file, path, what, images);
  if (!array) return array;
  const std::uint64_t expected = array->items * array->item_bytes;
  // Memory grows with what was read, not with what the header claims.
  while (array->bytes.size() < expected) {
    const std::size_t before = array->bytes.size();
    array->bytes.resize(std::min<std::uint64_t>(expected, before + std::max(kStepBytes, before)));
    const auto got = file.read(std::as_writable_bytes(std::span(array->bytes).subspan(before)));
    if (!got) return fail(got.error());
    if (before + *got < array->bytes.size())
      return bad(path, fmt::format("cut off: the header names {} {}s, there are bytes for {}", array->items, what, (before + *got) / array->item_bytes));
    if (progress) progress(file.percent());
  }
  std::array<std::byte, 1> more;
  const auto got = file.read(more);
  if (!got) return fail(got.error());
  if (*got != 0) return bad(path, fmt::format("more bytes than the {} {}s that the header names", array->items, what));
  return array;
}

}  // namespace

Result<Rows> read_idx(SourceFile& images, const std::string& images_path, SourceFile& labels, const std::string& labels_path, proto::LabelKind kind,
                      const Mapping* mapping, const Progress& progress) {
  auto pixels = read_array(images, images_path, "image", true, progress);
  if (!pixels) return fail(pixels.error());
  const auto numbers = read_array(labels, labels_path, "label", false, {});
  if (!numbers) return fail(numbers.error());
  if (pixels->items != numbers->items) return bad(labels_path, fmt::format("{} labels for the {} images of {}", numbers->items, pixels->items, images_path));
  if (mapping != nullptr && pixels->item_bytes != mapping->features)
    return bad(images_path, fmt::format("images of {} bytes, but those of the training data have {}", pixels->item_bytes, mapping->features));

  Rows rows;
  rows.regression = kind == proto::LabelKind::kTargets;
  if (rows.regression) {
    rows.mapping.features = pixels->item_bytes;
    for (const std::uint8_t label : numbers->bytes) rows.targets.push_back(static_cast<float>(label));
    rows.pixels = std::move(pixels->bytes);
    return rows;
  }
  if (mapping != nullptr) {
    rows.mapping = *mapping;
  } else {
    rows.mapping.features = pixels->item_bytes;
    const auto largest = std::max_element(numbers->bytes.begin(), numbers->bytes.end());
    for (std::int64_t label = 0; largest != numbers->bytes.end() && label <= *largest; ++label) rows.mapping.labels.push_back(label);
  }
  const std::size_t width = pixels->item_bytes;
  for (std::size_t i = 0; i < numbers->bytes.size(); ++i) {
    const std::uint8_t label = numbers->bytes[i];
    if (label < rows.mapping.labels.size()) {
      if (rows.bad_rows > 0)
        std::copy_n(pixels->bytes.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                    pixels->bytes.begin() + static_cast<std::ptrdiff_t>(rows.classes.size() * width));
      rows.classes.push_back(label);
    } else if (rows.bad_rows++ == 0) {
      rows.first_bad = fmt::format("item {}: label {} is beyond the training data's, 0 to {}", i, label, rows.mapping.labels.size() - 1);
    }
  }
  rows.pixels = std::move(pixels->bytes);
  rows.pixels.resize(rows.classes.size() * width);
  return rows;
}

}  // namespace sluice::worker::data
