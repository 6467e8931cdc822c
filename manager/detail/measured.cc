#include "manager/detail/measured.h"

#include <algorithm>
#include <cmath>

namespace sluice::manager {

void Measured::add(double value) {
  if (values_.size() < kSamplesMax)
    values_.push_back(value);
  else
    values_[count_ % kSamplesMax] = value;
  ++count_;
}

double Measured::percentile(double share) const {
  if (values_.empty()) return 0;
  std::vector<double> sorted = values_;
  const double rank = std::ceil(share * static_cast<double>(sorted.size()));
  const auto at = static_cast<std::ptrdiff_t>(std::clamp(rank - 1, 0.0, static_cast<double>(sorted.size() - 1)));
  std::nth_element(sorted.begin(), sorted.begin() + at, sorted.end());
  return sorted[static_cast<std::size_t>(at)];
}

}  // namespace sluice::manager
