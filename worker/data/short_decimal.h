#pragma once
/// The numbers that fill data files, "0.25" or "-17", without a call: few digits, no exponent. What it reads it reads as std::from_chars does.

#include <array>
#include <cstdint>

namespace sluice::worker::data {

/// Reads [-]digits[.digits] at `at` into `value`; the end of it, or null where there is none such, or not one whose float is found by one division: at most
/// 2^24 with its point left out, and at most ten digits behind the point. Then digits and power of ten are floats without rounding, and their quotient is the
/// nearest float (Clinger, PLDI 1990).
inline const char* read_short_decimal(const char* at, const char* end, float& value) {
  constexpr std::array<float, 11> kPowers{1e0F, 1e1F, 1e2F, 1e3F, 1e4F, 1e5F, 1e6F, 1e7F, 1e8F, 1e9F, 1e10F};
  constexpr std::uint64_t kExact = std::uint64_t{1} << 24;
  constexpr std::ptrdiff_t kLongest = 18;  // digits that a 64-bit number holds
  const bool minus = at < end && *at == '-';
  if (minus) ++at;
  const char* const begin = at;
  const char* const most = end - at > kLongest ? at + kLongest : end;
  const auto digit = [](char c) { return static_cast<unsigned char>(c - '0'); };
  std::uint64_t digits = 0;
  while (at < most && digit(*at) < 10) digits = digits * 10 + digit(*at++);
  std::size_t behind = 0;
  const bool whole = at > begin;
  if (at < most && *at == '.') {
    const char* const point = at++;
    while (at < most && digit(*at) < 10) digits = digits * 10 + digit(*at++);
    behind = static_cast<std::size_t>(at - point - 1);
  }
  if ((!whole && behind == 0) || at - begin == kLongest || digits > kExact || behind >= kPowers.size()) return nullptr;
  if (at < end && (*at == 'e' || *at == 'E')) return nullptr;
  const float size = static_cast<float>(digits) / kPowers[behind];
  value = minus ? -size : size;
  return at;
}

}  // namespace sluice::worker::data
