#pragma once
/// The randomness seam. Nothing else of ours draws randomness, and nothing uses std:: distributions (their output differs between libraries).

#include <cstdint>

namespace sluice {

__extension__ using Wide = unsigned __int128;

/// Mixes 64 bits (SplitMix64's finaliser, Steele et al., OOPSLA'14): the same value for the same input on every host. For counter-based draws.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}
/// Combines a seed and a counter into a new seed.
[[nodiscard]] constexpr std::uint64_t mix64(std::uint64_t a, std::uint64_t b) { return mix64(mix64(a) ^ (b + 0x632be59bd9b4e019ULL)); }
/// The top 53 bits as a double in [0, 1).
[[nodiscard]] constexpr double unit_double(std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1.0p-53; }

class Rng {
 public:
  virtual ~Rng() = default;
  [[nodiscard]] virtual std::uint64_t next() = 0;
  /// In [0, n); n > 0.
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return static_cast<std::uint64_t>((static_cast<Wide>(next()) * n) >> 64); }
  /// In [0, 1).
  [[nodiscard]] double uniform() { return unit_double(next()); }
};

/// Deterministic from its seed, on every host. One thread.
class SeededRng final : public Rng {
 public:
  explicit SeededRng(std::uint64_t seed) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() override { return mix64(state_++); }

 private:
  std::uint64_t state_;
};

/// A seed from the operating system, for processes that were given none.
[[nodiscard]] std::uint64_t entropy_seed();

}  // namespace sluice
