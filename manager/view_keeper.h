#pragma once
/// The view that policies decide on, kept from round to round: a job's part is made anew when something happened to it (a report, an order, its slots), and
/// what all jobs share of past ones (the contention, what ended jobs taught) is told to those that nothing happened to in turn. So a round's time grows with
/// what changed; what is left for every job is a pass over plain numbers. Called by one thread; with hundreds of forecasts to make it takes TBB's to help.

#include <cstdint>
#include <span>
#include <vector>

#include "base/clock.h"
#include "manager/cluster_view.h"
#include "manager/fair_shadow.h"
#include "manager/job_table.h"
#include "manager/placement.h"
#include "manager/policy.h"
#include "manager/rate_model.h"

namespace sluice::manager {

struct RoundOptions {
  Duration round = from_ms(500);
  Duration quantum_min = from_ms(500);
  Instant began;  ///< the record's times count from here
  /// Solver iterations of all predictors in one round, so that a round is bounded; what does not fit is refitted in the next, the stalest first.
  int refit_iterations_max = 400;
  Fairness fairness = {};
  bool record = true;                ///< false: no line and no outcomes are made (simulations of many rounds)
  const Clock* stopwatch = nullptr;  ///< outlives the rounds: RoundResult::parts are measured with it
};

/// A job as the policy sees it, but for what is carried from round to round, and what is told of past jobs.
/// `slots`: of the whole cluster; the forecast reaches as far as all of them would bring the job in a quantum. `move_cost`: of this job, as is to be believed.
[[nodiscard]] JobView view_of(const Job& job, const RoundOptions& options, std::uint32_t slots, Duration move_cost);

/// `jobs` and `fleet` outlive it.
class ViewKeeper {
 public:
  /// Jobs to which nothing happened, that are told in one round what all jobs share.
  static constexpr std::size_t kToldMax = 256;

  ViewKeeper(const RoundOptions& options, JobTable& jobs, Fleet& fleet) : options_(options), jobs_(jobs), fleet_(fleet) {}

  /// Brings the view up to now. `carrier`: where what is carried is, if it is not in the view; it decides, and the forecasts that no Incremental reads are left
  /// out until foretell_all().
  void look(Instant now, bool by_index, const Incremental* carrier);
  /// Makes the forecasts that were left out. Of a job that reported since the last look: from what is known by now.
  void foretell_all();
  /// A live job's slots were decided, or lost: the view of the next round has them.
  void set_slots(Job& job, std::uint32_t slots);
  /// A measured stall of a move to `job`: a running mean.
  void moved(Job& job, Duration stall);

  [[nodiscard]] const ClusterView& view() const { return view_; }
  [[nodiscard]] ClusterView& view() { return view_; }
  /// slots_of(view()).
  [[nodiscard]] std::uint32_t slots() const { return slots_; }
  /// The job at a place of view().jobs.
  [[nodiscard]] Job& job_at(std::size_t place) const { return *rows_[place]; }
  /// Places of view().jobs where anything but what is carried and decided is otherwise than in the look before; each once. New jobs are at the end.
  [[nodiscard]] std::span<const std::uint32_t> changed() const { return changed_; }
  /// Jobs changed their places in the last look.
  [[nodiscard]] bool moved_places() const { return moved_places_; }
  /// Jobs that ended before the last look, by id.
  [[nodiscard]] std::span<Job* const> left() const { return left_; }
  /// Jobs whose part was made anew in the last look.
  [[nodiscard]] std::size_t made() const { return made_; }

 private:
  void look_at_hosts();
  void leave(std::span<Job* const> touched, const Incremental* carrier);
  void join(std::span<Job* const> touched);
  void pool_contention(std::span<Job* const> touched);
  void make(std::uint32_t row);
  void fill(std::uint32_t row);  ///< several rows at once, on several threads
  void finish(std::uint32_t row);
  void make_all(std::span<Job* const> touched);
  void tell(std::uint32_t row);
  void take_prior(JobView& view, const Job& job) const;
  [[nodiscard]] Duration move_cost(const Job& job) const;
  void mark(std::uint32_t row);

  const RoundOptions options_;
  JobTable& jobs_;
  Fleet& fleet_;
  ClusterView view_;
  std::vector<Job*> rows_;          ///< as view_.jobs
  std::vector<Evidence> evidence_;  ///< the same
  std::vector<bool> marked_;        ///< the same: it is in changed_
  std::vector<std::uint8_t> owes_;  ///< the same: 1 where its forecast was left out
  std::vector<std::uint32_t> changed_;
  std::vector<Job*> left_, set_;  ///< set_: slots not in the view yet
  bool moved_places_ = false, looked_ = false;
  bool later_ = false;  ///< forecasts are left out in this look
  std::size_t made_ = 0, told_ = 0;
  std::uint64_t hosts_seen_ = 0;
  std::uint32_t slots_ = 0, held_ = 0;  ///< of the fleet; of the view's jobs
  KappaPool contention_;
  FairShadow shadow_;
  double usual_move_ns_ = 0;  ///< running mean over all jobs
};

}  // namespace sluice::manager
