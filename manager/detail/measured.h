#pragma once
/// Bounded samples and their percentiles. One thread.

#include <cstdint>
#include <vector>

namespace sluice::manager {

/// The newest kSamplesMax values.
class Measured {
 public:
  static constexpr std::size_t kSamplesMax = 8192;
  void add(double value);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// Nearest rank, share in [0, 1]; 0 without values.
  [[nodiscard]] double percentile(double share) const;

 private:
  std::vector<double> values_;
  std::uint64_t count_ = 0;
};

}  // namespace sluice::manager
