#pragma once
/// The √ rule on plain numbers: an entry of each vector a claim, so that a round over very many jobs is a few passes over a few megabytes. Whole numbers that
/// are carried are kept as doubles, exact up to 2⁵³: processors turn a row of int64 into doubles one by one. One thread: a second one, measured, brings nothing
/// where memory is what is waited for, and milliseconds of waiting where others work on its core. Pure.

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
  std::vector<float> rounding;                 ///< whole, a million at most: floats hold it exactly
  std::vector<double> deficit_ns, quantum_ns;  ///< whole
  std::vector<Instant> since;                  ///< when the running quantum began
  // The answer.
  double level = 0;  ///< 1/√λ
  std::vector<std::uint32_t> slots;
  std::vector<float> next_rounding;
  std::vector<double> next_deficit_ns;
  std::vector<Instant> next_since;

  /// Entries that come are 0.
  void resize(std::size_t claims);
  [[nodiscard]] std::size_t size() const { return root.size(); }
  struct Times {
    Instant now;
    Duration elapsed, round;
    /// By when a quantum that is over by now has run: rounds are timers, and one that comes a little early must not make a quantum a round longer.
    [[nodiscard]] std::int64_t late() const { return now.ns + round.ns / 10; }
  };
  /// REQUIRES: the minimums add up to `all` at most.
  void decide(std::uint32_t all, const Times& times);
  /// λ; 0: nothing is worth anything.
  [[nodiscard]] double price() const { return level > 0 ? 1 / (level * level) : 0; }
  [[nodiscard]] double share(std::size_t i) const;

 private:
  [[nodiscard]] std::int64_t round_claims(const Times& times);
  void settle(std::int64_t left, const Times& times);
  void change(std::size_t i, const Times& times);
  std::size_t pick(bool give, std::size_t count);
  double bound_of(bool give, std::size_t count);
  [[nodiscard]] bool picks(bool give, std::size_t i) const { return give ? slots[i] < max[i] : slots[i] > min[i]; }
  [[nodiscard]] double rank(bool give, std::size_t i) const { return give ? -wants_[i] : wants_[i]; }  ///< the least first

  std::vector<double> wants_;                              ///< slots beyond those given, with what is owed
  std::vector<std::pair<double, std::uint32_t>> wanting_;  ///< reused
  std::vector<double> sample_;                             ///< the same
};

}  // namespace sluice::manager
