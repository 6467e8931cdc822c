#pragma once
/// Counters with names, for logs, tests and later the /metrics page. Any thread.

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Metrics {
 public:
  /// The counter of that name, made on first use; valid as long as the registry. Look it up once, not per event: it takes a lock.
  [[nodiscard]] Counter& counter(std::string_view name);
  /// All counters by name.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> snapshot() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Counter*, std::less<>> by_name_;
  std::deque<Counter> counters_;  ///< a deque: references stay valid
};

/// The process's own.
[[nodiscard]] Metrics& metrics();

}  // namespace sluice
