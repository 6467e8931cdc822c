#pragma once
/// Policies that know the true curves: yardsticks for the others, of simulations only. Each looks at the manager's view with the truth put into it and decides
/// as one of the manager's policies does.
///   oracle-next   SLAQ's greedy on the true loss of the next round
///   oracle-curve  jobs one after the other by the best average slope of the true curve ahead, up to any later point, in slot-seconds of one slot
///   oracle-aged   `sluice` with the true remaining loss, length and speed-up
///   oracle-winner of a group of which only the best counts the winner first: of its members that are there the one that comes lowest along its true curve in
///                 the steps that it has left, of equals the one that is there sooner. Groups, and jobs without one, are served by the best average slope of
///                 the group's best, or of the job's own loss, as under oracle-curve. Of slots that no winner can use the others have what is left, by what
///                 they bring to the group's best. Where several slots make gradients stale, a winner has one, for its end is what counts

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "manager/policy.h"
#include "sim/simulation.h"

namespace sluice::sim {

inline constexpr std::array<std::string_view, 4> kOracles = {"oracle-next", "oracle-curve", "oracle-aged", "oracle-winner"};
[[nodiscard]] bool is_oracle(std::string_view policy);

/// The contention with which all slots together are worth what they are.
[[nodiscard]] double true_kappa(const SimOptions& options);

/// What is true of a running simulation.
class Truth {
 public:
  virtual ~Truth() = default;
  /// Null: no such job.
  [[nodiscard]] virtual const SimJob* job(JobId id) const = 0;
  /// Steps done. REQUIRES: job(id).
  [[nodiscard]] virtual double step(JobId id) const = 0;
  /// How far it is along its curve. REQUIRES: job(id).
  [[nodiscard]] virtual double place(JobId id) const = 0;
  /// The best loss that any of its members has reached; before any came the highest that one begins with. REQUIRES: a group of the simulation.
  [[nodiscard]] virtual double group_best(const std::string& group) const = 0;
  [[nodiscard]] virtual const SimOptions& options() const = 0;
};

/// One of kOracles or of the manager's policies. `truth` outlives it. REQUIRES: check_policy(name).
[[nodiscard]] std::unique_ptr<manager::Policy> make_policy(const std::string& name, const Truth& truth);

}  // namespace sluice::sim
