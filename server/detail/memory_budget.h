#pragma once
/// How much memory the tables of all jobs may take on one server, counted as they are declared: values and optimizer state of the shards that it owns. Shared
/// by its lanes; any thread.

#include <atomic>
#include <cstdint>

#include "base/ids.h"
#include "proto/table_spec.h"
#include "server/detail/view.h"
#include "server/optimizer.h"

namespace sluice::server {

class MemoryBudget {
 public:
  explicit MemoryBudget(std::uint64_t limit_bytes) : limit_(limit_bytes) {}
  /// False, and nothing is taken, where that much is not free.
  [[nodiscard]] bool take(std::uint64_t bytes);
  void give(std::uint64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t limit() const { return limit_; }
  [[nodiscard]] std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }

 private:
  const std::uint64_t limit_;
  std::atomic<std::uint64_t> used_{0};
};

/// Bytes of the table's shards that this lane owns: dense ones whole; of a sparse table an even share of its declared rows, 40 bytes each beside values and
/// state (SparseShard's bound).
[[nodiscard]] std::uint64_t declared_bytes(const proto::TableSpec& table, const Optimizer& optimizer, JobId job, const View& view, std::uint32_t lane);

}  // namespace sluice::server
