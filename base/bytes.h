#pragma once
/// Views of raw bytes and unaligned loads (frames from the network may start anywhere).

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace sluice {

using Bytes = std::span<const std::byte>;
using Key = std::uint64_t;  ///< of a sparse table's row

template <class T>
[[nodiscard]] T load(const std::byte* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
[[nodiscard]] Bytes as_bytes_of(std::span<const T> values) {
  return std::as_bytes(values);
}

/// Rounds up to a multiple of 8: where the next section of a payload starts.
[[nodiscard]] constexpr std::size_t align8(std::size_t n) { return (n + 7) & ~std::size_t{7}; }

}  // namespace sluice
