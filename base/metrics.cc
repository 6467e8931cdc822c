#include "base/metrics.h"

namespace sluice {

Counter& Metrics::counter(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto it = by_name_.find(name); it != by_name_.end()) return *it->second;
  return *by_name_.emplace(std::string(name), &counters_.emplace_back()).first->second;
}

std::vector<std::pair<std::string, std::uint64_t>> Metrics::snapshot() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const auto& [name, counter] : by_name_) out.emplace_back(name, counter->value());
  return out;
}

Metrics& metrics() {
  static Metrics all;
  return all;
}

}  // namespace sluice
