#pragma once
/// The √ rule on plain numbers: an entry of each vector a claim, so that a round over very many jobs is a few passes over a few megabytes. Whole numbers that
/// are carried are kept as doubles, exact up to 2⁵³: processors turn a row of int64 into doubles one by one. Pure.

#include <cstdint>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "manager/policies/water_level.h"

namespace sluice::manager {

struct RootShares {
  // Given: see Claim and JobView.
  std::vector<double> root;  ///< √Q > 0: a share is √(Q/λ)
  std::vector<std::uint32_t> min, max, full, held;
  std::vector<double> rounding, deficit_ns, quantum_ns;  ///< whole
  std::vector<std::uint8_t> quantum_over;
  // The answer.
  double level = 0;  ///< 1/√λ
  std::vector<std::uint32_t> slots;
  std::vector<double> next_rounding, next_deficit_ns;  ///< whole

  /// Entries that come are 0.
  void resize(std::size_t claims);
  [[nodiscard]] std::size_t size() const { return root.size(); }
  /// REQUIRES: the minimums add up to `all` at most.
  void decide(std::uint32_t all, Duration elapsed, Duration round);
  /// λ; 0: nothing is worth anything.
  [[nodiscard]] double price() const { return level > 0 ? 1 / (level * level) : 0; }
  [[nodiscard]] double share(std::size_t i) const;

 private:
  [[nodiscard]] std::int64_t round_claims(std::size_t first, std::size_t end, Duration elapsed, Duration round);
  void settle(std::int64_t left);
  std::size_t pick(bool give, std::size_t count);
  double bound_of(bool give, std::size_t count);
  [[nodiscard]] bool picks(bool give, std::size_t i) const { return give ? slots[i] < max[i] : slots[i] > min[i]; }
  [[nodiscard]] double rank(bool give, std::size_t i) const { return give ? -wants_[i] : wants_[i]; }  ///< the least first
  [[nodiscard]] double rounding_after(std::size_t i) const;

  std::vector<double> wants_;                              ///< slots beyond those given, with what is owed
  std::vector<std::pair<double, std::uint32_t>> wanting_;  ///< reused
  std::vector<double> sample_;                             ///< the same
};

}  // namespace sluice::manager
