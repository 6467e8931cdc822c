#include "worker/data/npy_array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <string_view>

namespace sluice::worker::data {
namespace {

constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 40;
constexpr std::size_t kDimensionsMax = 32;
constexpr std::size_t kHeaderBytesMax = std::size_t{1} << 20;

tl::unexpected<Error> not_read(const std::string& name, const std::string& what) { return fail(Errc::kBadData, name + ": " + what); }

/// The header's dictionary: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }
class Dictionary {
 public:
  Dictionary(std::string_view text, NpyArray& array) : text_(text), array_(array) {}

  /// Empty when all is well, else what is wrong.
  std::string read() {
    if (!take('{')) return "its header is no dictionary";
    bool type = false, order = false, shape = false;
    while (!take('}')) {
      std::string key;
      if (!quoted(key) || !take(':')) return "its header is damaged";
      if (key == "descr" && !type) {
        if (std::string wrong = read_type(); !wrong.empty()) return wrong;
        type = true;
      } else if (key == "fortran_order" && !order) {
        if (!word("True") && !word("False")) return "its header's fortran_order is neither True nor False";
        order = true;
      } else if (key == "shape" && !shape) {
        if (!read_shape()) return "its header's shape is damaged";
        shape = true;
      } else {
        return fmt::format("its header has an unknown or repeated entry '{}'", key.substr(0, 40));
      }
      take(',');
    }
    return type && order && shape ? "" : "its header lacks one of descr, fortran_order, shape";
  }

 private:
  void blanks() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t')) text_.remove_prefix(1);
  }
  bool take(char c) {
    blanks();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool word(std::string_view wanted) {
    blanks();
    if (!text_.starts_with(wanted)) return false;
    text_.remove_prefix(wanted.size());
    array_.fortran = wanted == "True";
    return true;
  }
  bool quoted(std::string& out) {
    blanks();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return false;
    const std::size_t end = text_.find(text_[0], 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return true;
  }
  std::string read_type() {
    blanks();
    if (text_.starts_with('[')) return "an array of records (named fields); plain numbers are read: take its columns, for example with numpy.stack";
    std::string& type = array_.type;
    if (!quoted(type)) return "its header's descr is damaged";
    const std::string_view order = "<>|=";
    if (type.size() < 2 || order.find(type[0]) == std::string_view::npos) return fmt::format("an unknown element type '{}'", type.substr(0, 40));
    array_.big_endian = type[0] == '>';
    array_.kind = type[1];
    if (array_.kind == 'O') return "an array of Python objects, which are never read (they may carry code); save numbers: array.astype('float32')";
    std::size_t bytes = 0;
    const auto [end, error] = std::from_chars(type.data() + 2, type.data() + type.size(), bytes);
    const bool number = error == std::errc() && end == type.data() + type.size();
    const bool whole = (array_.kind == 'i' || array_.kind == 'u') && (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
    if (!number || !(whole || (array_.kind == 'f' && (bytes == 4 || bytes == 8)) || (array_.kind == 'b' && bytes == 1)))
      return fmt::format("elements of type '{}'; float32, float64, whole numbers and bool are read: array.astype('float32') would do", type.substr(0, 40));
    array_.item_bytes = bytes;
    return {};
  }
  bool read_shape() {
    if (!take('(')) return false;
    while (!take(')')) {
      blanks();
      std::uint64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc() || array_.shape.size() >= kDimensionsMax) return false;
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (!text_.empty() && text_[0] == 'L') text_.remove_prefix(1);  // Python 2's long
      array_.shape.push_back(size);
      take(',');
    }
    return true;
  }

  std::string_view text_;
  NpyArray& array_;
};

template <class T>
double number_at(const std::byte* at, bool swap) {
  std::array<std::byte, sizeof(T)> raw;
  std::memcpy(raw.data(), at, sizeof(T));
  if (swap) std::reverse(raw.begin(), raw.end());
  return static_cast<double>(std::bit_cast<T>(raw));
}

using ReadNumber = double (*)(const std::byte*, bool);
ReadNumber reader_of(char kind, std::size_t bytes) {
  if (kind == 'f') return bytes == 4 ? number_at<float> : number_at<double>;
  if (kind == 'i')
    return bytes == 1 ? number_at<std::int8_t> : bytes == 2 ? number_at<std::int16_t> : bytes == 4 ? number_at<std::int32_t> : number_at<std::int64_t>;
  return bytes == 1 ? number_at<std::uint8_t> : bytes == 2 ? number_at<std::uint16_t> : bytes == 4 ? number_at<std::uint32_t> : number_at<std::uint64_t>;
}

}  // namespace

std::uint64_t NpyArray::columns() const {
  std::uint64_t out = 1;
  for (std::size_t d = 1; d < shape.size(); ++d) out *= shape[d];
  return out;
}

void NpyArray::read_row(std::uint64_t row, std::vector<double>& out) const {
  const ReadNumber read = reader_of(kind, item_bytes);
  const std::byte* const first = elements.data() + row * row_stride_ * item_bytes;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = read(first + (column_offsets_.empty() ? i : column_offsets_[i]) * item_bytes, big_endian);
}

std::string NpyArray::words() const { return fmt::format("{} of {}", shape.empty() ? "one" : fmt::format("{}", fmt::join(shape, " × ")), type); }

namespace {

/// The header, if `bytes` hold all of it: an array without elements, and where they begin.
struct Header {
  NpyArray array;
  std::uint64_t begin = 0, elements = 0;
};
Result<std::optional<Header>> read_header(Bytes bytes, const std::string& name) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  if (!text.starts_with(kMagic.substr(0, text.size()))) return not_read(name, "not a NumPy array (.npy)");
  if (text.size() < 12) return std::nullopt;
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(std::to_integer<unsigned>(bytes[at])); };
  if (byte(6) < 1 || byte(6) > 3) return not_read(name, fmt::format("version {}.{} of the format; 1 to 3 are read", byte(6), byte(7)));
  const bool first_version = byte(6) == 1;
  const std::size_t begin = first_version ? 10 : 12;
  const std::size_t length = byte(8) | byte(9) << 8 | (first_version ? 0 : byte(10) << 16 | byte(11) << 24);
  if (length > kHeaderBytesMax) return not_read(name, fmt::format("a header of {} bytes, more than {}", length, kHeaderBytesMax));
  if (length > text.size() - begin) return std::nullopt;
  Header out;
  if (const std::string wrong = Dictionary(text.substr(begin, length), out.array).read(); !wrong.empty()) return not_read(name, wrong);
  out.begin = begin + length;
  out.elements = 1;
  for (const std::uint64_t size : out.array.shape) {
    if (size > kElementsMax || (size > 0 && out.elements > kElementsMax / size))
      return not_read(name, fmt::format("its header names an impossible shape, {}", out.array.words()));
    out.elements *= size;
  }
  return out;
}

}  // namespace

Result<NpyArray> parse_npy(Bytes bytes, const std::string& name) {
  auto header = read_header(bytes, name);
  if (!header) return fail(header.error());
  if (!*header) return not_read(name, bytes.empty() ? "not a NumPy array (.npy)" : "cut off in its header");
  NpyArray array = std::move((*header)->array);
  const std::uint64_t count = (*header)->elements;
  array.elements = bytes.subspan((*header)->begin);
  const std::uint64_t there = array.elements.size() / array.item_bytes;
  if (there < count) return not_read(name, fmt::format("cut off: its header names {}, that are {} elements; there are {}", array.words(), count, there));
  if (array.elements.size() != count * array.item_bytes) return not_read(name, fmt::format("more bytes than the {} that its header names", array.words()));
  array.row_stride_ = array.columns();
  if (array.fortran && array.shape.size() > 1 && count > 0) {
    array.row_stride_ = 1;
    array.column_offsets_.assign(array.columns(), 0);
    std::uint64_t repeat = array.columns(), stride = 1;  // of dimension d, in C order of the columns; in elements
    for (std::size_t d = 1; d < array.shape.size(); ++d) {
      stride *= array.shape[d - 1];
      repeat /= array.shape[d];
      for (std::size_t c = 0; c < array.column_offsets_.size(); ++c) array.column_offsets_[c] += c / repeat % array.shape[d] * stride;
    }
  }
  return array;
}

Result<std::vector<std::byte>> read_npy_bytes(const ReadSome& read, const std::string& name) {
  constexpr std::size_t kFirst = std::size_t{64} << 10, kStep = std::size_t{4} << 20;
  std::vector<std::byte> out;
  std::optional<std::uint64_t> most;  // bytes, once the header is read
  for (;;) {
    const std::size_t before = out.size();
    const std::size_t more = before == 0 ? kFirst : std::max(kStep, before / 2);
    out.resize(most ? std::min<std::size_t>(before + more, *most) : before + more);
    const auto got = read(std::span(out).subspan(before));
    if (!got) return fail(got.error());
    out.resize(before + *got);
    if (!most) {
      const auto header = read_header(out, name);
      if (!header) return fail(header.error());
      if (*header) most = (*header)->begin + (*header)->elements * (*header)->array.item_bytes + 1;
    }
    if (*got == 0 || (most && out.size() >= *most)) return out;
  }
}

}  // namespace sluice::worker::data
