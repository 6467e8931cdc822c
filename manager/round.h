#pragma once
/// One round: the manager's state → a plain view → the policy → which worker slot trains what, and the record of why. No network, no files, no clock: the
/// caller writes the record first and only then sends grants. Also what bench/ and simulations call.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "manager/cluster_view.h"
#include "manager/fair_shadow.h"
#include "manager/job_table.h"
#include "manager/placement.h"
#include "manager/policy.h"

namespace sluice::manager {

struct RoundOptions {
  Duration round = from_ms(500);
  Duration quantum_min = from_ms(500);
  Instant began;  ///< the record's times count from here
  /// Solver iterations of all predictors in one round, so that a round is bounded; what does not fit is refitted in the next, the stalest first.
  int refit_iterations_max = 400;
  Fairness fairness = {};
  bool record = true;  ///< false: no line and no outcomes are made (simulations of many rounds)
};

/// What one round did.
struct RoundResult {
  DecisionId decision;              ///< 0: nothing changed
  std::vector<SlotChange> changes;  ///< applied to the fleet; those of lost workers included
  double price = 0;                 ///< the decision's
  nlohmann::json line;              ///< of decisions.jsonl; null where nothing changed
  int refits = 0;                   ///< predictors that took in news
};

/// `jobs` and `fleet` outlive it. One thread.
class Rounds {
 public:
  Rounds(const RoundOptions& options, std::unique_ptr<Policy> policy, JobTable& jobs, Fleet& fleet);

  /// Refits, decides, and applies the decision to the fleet and to the jobs' carried values. `trigger`: why now, for the record ("timer", "job", "worker").
  [[nodiscard]] RoundResult run(Instant now, Term term, const std::string& trigger);
  /// Lets predictors take in reports between rounds, up to about so many solver iterations, so that a round finds little left to do. Returns how many did.
  int refit(int iterations_max);
  /// Slots of a worker that is gone (from Fleet::remove): the next round records them.
  void lost(const std::string& worker, const std::vector<SlotChange>& changes);
  /// While held (the servers are not all there) nobody is granted anything.
  void hold(bool held) { held_ = held; }
  /// A measured stall of a move to `job`: a running mean.
  void moved(JobId job, Duration stall);
  /// Predicted against actual, once a round has passed since a decision: a line for the log; null when none is due. Call until it is.
  [[nodiscard]] nlohmann::json outcome(Instant now);
  /// The next decision's number is above `last`.
  void resume_after(std::uint64_t last) { decisions_ = last; }

  [[nodiscard]] const Policy& policy() const { return *policy_; }
  /// What the policy saw in the last round.
  [[nodiscard]] const ClusterView& view() const { return view_; }
  /// That decision's price; 0 where the policy has none.
  [[nodiscard]] double price() const { return price_; }
  [[nodiscard]] std::uint64_t count() const { return rounds_; }

 private:
  using Counts = std::map<JobId, std::uint32_t>;
  /// Of a decision whose outcome is awaited.
  struct Pending {
    struct Item {
      JobId job;
      std::uint64_t step = 0;
      double loss = 0;
      double slot_seconds = 0;
      double steps_per_slot_second = 0;  ///< by the rate model, at the slots decided
      JobView view;                      ///< for its forecast
    };
    DecisionId decision;
    Instant at;
    std::vector<Item> items;
  };
  static constexpr std::size_t kPendingMax = 8;

  void look(Instant now);
  void go_on_with_shadow(Instant now);
  [[nodiscard]] Duration move_cost(const Job& job) const;
  [[nodiscard]] std::vector<SlotChange> carry_out(const Decision& decision);
  [[nodiscard]] nlohmann::json describe(const Decision& decision, const std::vector<SlotChange>& changes, const Counts& before);
  [[nodiscard]] nlohmann::json entry(const Job& job, const Decision& decision, const JobDecision* decided, std::uint32_t before, std::uint32_t after) const;
  [[nodiscard]] nlohmann::json name_or_null(JobId id) const;
  void await_outcome(Instant now);

  RoundOptions options_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<Memo> memo_;
  JobTable& jobs_;
  Fleet& fleet_;
  ClusterView view_;
  nlohmann::json recorded_ = nlohmann::json::object();  ///< the view as of the last line
  std::optional<Instant> last_;
  std::uint64_t rounds_ = 0, decisions_ = 0;
  bool held_ = false;
  std::vector<std::pair<std::string, SlotChange>> lost_;
  KappaPool contention_;
  bool by_index_ = false;
  FairShadow shadow_;
  std::set<JobId> seen_;  ///< live jobs of the last round
  Counts granted_;        ///< after the last round
  std::deque<Pending> pending_;
  double usual_move_ns_ = 0;  ///< running mean over all jobs
  double price_ = 0;
};

/// A paused job has nothing to do with the policy's reasons: the decision says that it is paused. Told from the view, so that a replay says the same.
void say_paused(const ClusterView& view, Decision& decision);

/// A job as the policy sees it.
/// `slots`: of the whole cluster; the forecast reaches as far as all of them would bring the job in a quantum. `move_cost`: of this job, as is to be believed.
[[nodiscard]] JobView view_of(const Job& job, const RoundOptions& options, std::uint32_t slots, Duration move_cost);

}  // namespace sluice::manager
