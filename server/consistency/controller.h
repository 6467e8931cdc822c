#pragma once
/// Consistency controllers: how far a worker slot may run ahead of a job's slowest. To add one: a file here, one line in builtin_controllers(); the contract
/// suite (vector_clock_test.cc) runs over every registered name, exhaustively for 3 slots × 4 clocks.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>

#include "base/registry.h"
#include "proto/job_spec.h"

namespace sluice::server {

inline constexpr std::uint64_t kNoGate = std::numeric_limits<std::uint64_t>::max();

/// Immutable. The whole contract: gate(m) ≥ m (so the slowest slot may always begin, and nobody waits for ever), and gate never falls as m rises.
class ConsistencyController {
 public:
  virtual ~ConsistencyController() = default;
  /// The highest clock that may be begun while the slowest counted slot is at clock `minimum`.
  [[nodiscard]] virtual std::uint64_t gate(std::uint64_t minimum) const = 0;
};

using MakeController = std::function<std::unique_ptr<const ConsistencyController>(const proto::ConsistencySpec&)>;
/// asp, bsp, ssp.
[[nodiscard]] const Registry<MakeController>& builtin_controllers();
[[nodiscard]] std::unique_ptr<const ConsistencyController> make_controller(const proto::ConsistencySpec& spec);

[[nodiscard]] std::unique_ptr<const ConsistencyController> make_asp(const proto::ConsistencySpec& spec);
[[nodiscard]] std::unique_ptr<const ConsistencyController> make_bsp(const proto::ConsistencySpec& spec);
[[nodiscard]] std::unique_ptr<const ConsistencyController> make_ssp(const proto::ConsistencySpec& spec);

}  // namespace sluice::server
