#pragma once
/// Eight floats, or four doubles, at a time. Each lane is computed by itself and sums over lanes are made in one fixed order, so that results are the same to
/// the last bit on every processor, whatever its vectors' width is (what a compiler may not assume of a loop that sums). For the predictor `ensemble`.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::manager {

using Floats [[gnu::vector_size(32)]] = float;
using Doubles [[gnu::vector_size(32)]] = double;
using Bits [[gnu::vector_size(32)]] = std::int32_t;
using Shorts [[gnu::vector_size(16)]] = std::uint16_t;
inline constexpr std::size_t kFloats = 8, kDoubles = 4;

inline Floats load_lanes(const float* from) {
  Floats out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
inline Doubles load_lanes(const double* from) {
  Doubles out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
inline void store_lanes(const Floats& what, float* to) { std::memcpy(to, &what, sizeof what); }
inline void store_lanes(const Doubles& what, double* to) { std::memcpy(to, &what, sizeof what); }
template <class V>
inline V lane_min(const V& a, const V& b) {
  return a < b ? a : b;
}
template <class V>
inline V lane_max(const V& a, const V& b) {
  return a > b ? a : b;
}
inline float sum_lanes(const Floats& x) { return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])); }
inline double sum_lanes(const Doubles& x) { return (x[0] + x[2]) + (x[1] + x[3]); }

/// A float in 16 bits: a sign, six bits of exponent, nine of mantissa. 2⁻⁴⁰ to 2²⁴, to a part in 1,000; what is smaller or larger becomes the smallest or the
/// largest. Never 0.
inline Shorts shortened(const Floats& x) {
  Bits bits;
  std::memcpy(&bits, &x, sizeof bits);
  const Bits magnitude = (((bits & 0x7fffffff) + (1 << 13)) >> 14) - (87 << 9);
  const Bits held = magnitude < 0 ? Bits{} : magnitude > 0x7fff ? Bits{} + 0x7fff : magnitude;
  return __builtin_convertvector(held | ((bits >> 16) & 0x8000), Shorts);
}
inline Floats lengthened(const std::uint16_t* from) {
  Shorts shorts;
  std::memcpy(&shorts, from, sizeof shorts);
  const Bits wide = __builtin_convertvector(shorts, Bits);
  const Bits bits = (((wide & 0x7fff) << 14) + (87 << 23)) | ((wide & 0x8000) << 16);
  Floats out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
inline void store_lanes(const Shorts& what, std::uint16_t* to) { std::memcpy(to, &what, sizeof what); }

}  // namespace sluice::manager
