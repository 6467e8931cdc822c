#pragma once
/// NumPy's array format (.npy, versions 1 to 3): a header, a Python dictionary of the element type, the order and the shape; then the elements. Read here, not
/// by a library: no Debian package reads it, and the format is a page long. Arrays of Python objects are refused: they are pickles, which may carry code.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace sluice::worker::data {

struct NpyArray {
  char kind = 'f';             ///< f, i, u, or b: bool
  std::size_t item_bytes = 4;  ///< f: 4, 8; i, u: 1, 2, 4, 8; b: 1
  bool big_endian = false;
  bool fortran = false;              ///< the first dimension changes fastest
  std::vector<std::uint64_t> shape;  ///< as the header says it
  Bytes elements;                    ///< all of them; a part of the bytes parsed
  std::string type;                  ///< "<f8", for messages

  [[nodiscard]] std::uint64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  [[nodiscard]] std::uint64_t columns() const;  ///< elements of a row, later dimensions laid flat in C order
  /// The elements of row `row` as numbers into `out`, which has columns() places. Whole numbers beyond 2^53 are rounded.
  void read_row(std::uint64_t row, std::vector<double>& out) const;
  /// "100 × 3 of <f8"
  [[nodiscard]] std::string words() const;

 private:
  friend Result<NpyArray> parse_npy(Bytes bytes, const std::string& name);
  std::uint64_t row_stride_ = 1;
  std::vector<std::uint64_t> column_offsets_;  ///< Fortran order only; empty: a row lies together
};

/// `name`: for messages. The array's elements are a view of `bytes`. Errors: kBadData: not an array, a version or type that is not read, cut off, too long.
[[nodiscard]] Result<NpyArray> parse_npy(Bytes bytes, const std::string& name);

/// Fills the span unless the data end before; returns the bytes written, 0 at the end.
using ReadSome = std::function<Result<std::size_t>(std::span<std::byte>)>;
/// The bytes of an array's file for parse_npy, inflated on the way where it is packed. The header is looked at first: what is no array is read no further than
/// that, and one that goes on beyond what its header names no further than a byte beyond (which parse_npy() refuses), so a small packed file takes no more
/// memory than the array that it claims to be. Errors: `read`'s; kBadData as parse_npy.
[[nodiscard]] Result<std::vector<std::byte>> read_npy_bytes(const ReadSome& read, const std::string& name);

}  // namespace sluice::worker::data
