#pragma once
/// Memory that is asked for before it is needed. Of very many jobs one is in no cache, and a cache asks for one line after the other where they are read one
/// after the other.

#include <cstddef>

namespace sluice {

/// Asks for the lines of `bytes` bytes; returns at once. Any address will do: nothing is read.
inline void fetch_lines(const void* what, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  for (std::size_t at = 0; at < bytes; at += kLine) __builtin_prefetch(static_cast<const char*>(what) + at);
}

}  // namespace sluice
