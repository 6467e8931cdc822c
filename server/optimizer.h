#pragma once
/// Server-side optimizers: how one update changes a span of values and its state. Stateless objects: all state is in the spans, so it moves, replicates and
/// checkpoints with the values. To add one: a file in server/optimizers/, one line in builtin_optimizers(); the contract suite (optimizer_test.cc) runs over
/// every registered name.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/registry.h"
#include "base/result.h"
#include "proto/job_spec.h"

namespace sluice::server {

/// A float that may start at any byte: how received frames are read in place.
using UnalignedFloat [[gnu::aligned(1), gnu::may_alias]] = float;

/// One update of n consecutive floats. `in` and `out` are either the same memory (in place) or disjoint; state is updated in place.
struct UpdateSpan {
  const float* in = nullptr;               ///< n values before
  float* out = nullptr;                    ///< n values after
  float* state = nullptr;                  ///< state_floats(n): plane k of the optimizer's state at [k × n, (k + 1) × n); zeros at first
  const UnalignedFloat* update = nullptr;  ///< n finite floats: the gradient, or whatever the optimizer takes
  std::size_t n = 0;
};

/// What an optimizer may know beside the span.
struct UpdateInfo {
  std::uint64_t count = 1;  ///< updates applied to this span so far, this one included: for bias correction
  std::uint32_t step = 0;   ///< the job's step that was read: for schedules
  double rate = 1;          ///< what a schedule makes of the learning rate: its factor, at least 0
};

/// Immutable; const is safe to share between threads.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// Floats of state for a span of n values: a whole multiple of n.
  [[nodiscard]] virtual std::size_t state_floats(std::size_t n) const = 0;
  /// Whether state is a sum over the updates, so that what several slots added to copies of their own goes together by addition (local steps: docs/adr/0015).
  [[nodiscard]] virtual bool state_adds_up() const { return false; }
  /// Applies one update. REQUIRES: all_finite(update). Each float's result depends on that float's value, state and update only: split spans equal the whole.
  virtual void apply(const UpdateSpan& span, UpdateInfo info) const = 0;
};

/// False if any of n floats is NaN or infinite. One pass of integer compares, vectorised: a span is checked whole before anything is changed.
[[nodiscard]] bool all_finite(const UnalignedFloat* values, std::size_t n);
/// The bytes as floats. REQUIRES: a size that is a multiple of 4.
[[nodiscard]] inline const UnalignedFloat* floats_of(Bytes bytes) { return reinterpret_cast<const UnalignedFloat*>(bytes.data()); }

/// A number that an optimizer knows: its default and the range [low, high) it must be in (low itself only where `low_allowed`).
struct NumberRule {
  std::string_view name;
  double otherwise = 0;
  double low = 0;
  double high = 0;
  bool low_allowed = false;
};
/// An optimizer as registered: the numbers it knows, and how to make it from checked ones.
struct OptimizerKind {
  std::vector<NumberRule> numbers;
  std::function<std::unique_ptr<const Optimizer>(const proto::OptimizerSpec&)> make;
  bool gradient = true;   ///< takes gradients: then `clip` is a number of it, which the slots obey
  bool scheduled = true;  ///< heeds UpdateInfo::rate: then a schedule's numbers are its too (server/schedule.h)
};
using OptimizerRegistry = Registry<OptimizerKind>;

/// adagrad, adam, adamw, add, ftrl, momentum, nesterov, rmsprop, sgd.
[[nodiscard]] const OptimizerRegistry& builtin_optimizers();
/// Errors: kBadConfig: unknown name or number (with the known ones), a number out of its range, or a schedule's numbers that don't go together. Any thread.
[[nodiscard]] Result<void> check_optimizer(const proto::OptimizerSpec& spec);
/// Errors as check_optimizer. The schedule is in it.
[[nodiscard]] Result<std::unique_ptr<const Optimizer>> make_optimizer(const proto::OptimizerSpec& spec);

/// The built-in kinds, one file each in optimizers/.
[[nodiscard]] OptimizerKind sgd_kind();
[[nodiscard]] OptimizerKind adagrad_kind();
[[nodiscard]] OptimizerKind adam_kind();
[[nodiscard]] OptimizerKind adamw_kind();
[[nodiscard]] OptimizerKind momentum_kind();
[[nodiscard]] OptimizerKind nesterov_kind();
[[nodiscard]] OptimizerKind rmsprop_kind();
[[nodiscard]] OptimizerKind ftrl_kind();
[[nodiscard]] OptimizerKind add_kind();

}  // namespace sluice::server
