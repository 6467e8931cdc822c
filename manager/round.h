#pragma once
/// One round: the manager's state → a plain view → the policy → which worker slot trains what, and the record of why. No network, no files, no clock: the
/// caller writes the record first and only then sends grants. Also what bench/ and simulations call.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "manager/cluster_view.h"
#include "manager/job_table.h"
#include "manager/placement.h"
#include "manager/policy.h"
#include "manager/view_keeper.h"

namespace sluice::manager {

/// How long a round's parts took, where there is a stopwatch.
struct RoundParts {
  double refit_ms = 0, view_ms = 0, decide_ms = 0, carry_ms = 0, record_ms = 0;
};

/// What one round did.
struct RoundResult {
  DecisionId decision;              ///< 0: nothing changed
  std::vector<SlotChange> changes;  ///< applied to the fleet; those of lost workers included
  double price = 0;                 ///< the decision's
  nlohmann::json line;              ///< of decisions.jsonl; null where nothing changed
  int refits = 0;                   ///< predictors that took in news
  std::size_t views_made = 0;       ///< jobs whose view was made anew
  RoundParts parts;
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
  [[nodiscard]] const ClusterView& view() const;
  /// That round's decision, whole: made again from the view where the round did without.
  [[nodiscard]] const Decision& decision() const { return decision(true); }
  /// Its entry for a job; an empty one for a job that the round did not see.
  [[nodiscard]] const JobDecision& decision_of(JobId job) const;
  /// That decision's price; 0 where the policy has none.
  [[nodiscard]] double price() const { return price_; }
  [[nodiscard]] std::uint64_t count() const { return rounds_; }

 private:
  using Counts = std::vector<Wanted>;
  /// Of a decision whose outcome is awaited.
  struct Pending {
    struct Item {
      JobId job;
      std::uint64_t step = 0;
      double loss = 0;
      double slot_seconds = 0;
      double steps_per_slot_second = 0;  ///< by the rate model, at the slots decided
      std::vector<ForecastKnot> forecast;
    };
    DecisionId decision;
    Instant at;
    std::vector<Item> items;
  };
  static constexpr std::size_t kPendingMax = 8;

  void look(Instant now);
  void decide(Counts& wanted);
  void decide_held(bool in_view, Counts& wanted);
  bool decide_quickly(bool in_view, Counts& wanted);
  [[nodiscard]] const Decision& decision(bool whole) const;
  void want(std::size_t place, std::uint32_t slots, Counts& wanted);
  [[nodiscard]] std::vector<SlotChange> carry_out(Counts& wanted);
  [[nodiscard]] nlohmann::json describe(const std::vector<SlotChange>& changes);
  [[nodiscard]] nlohmann::json entry(const Job& job, std::uint32_t before) const;
  [[nodiscard]] nlohmann::json name_or_null(JobId id) const;
  void await_outcome(Instant now);

  const RoundOptions options_;
  std::unique_ptr<Policy> policy_;
  std::unique_ptr<Memo> memo_;
  std::unique_ptr<Incremental> incremental_;  ///< null: the policy has none
  JobTable& jobs_;
  Fleet& fleet_;
  const std::unique_ptr<ViewKeeper> keeper_;
  ClusterView nobody_;                        ///< the view while held
  mutable std::optional<Decision> decision_;  ///< of the last round; none: it was made incrementally, and nobody asked for it yet
  mutable bool whole_ = false;                ///< decision_ has all sentences
  mutable bool seen_ = true;                  ///< keeper_'s view has what was carried to the last round
  bool quick_ = false;                        ///< the last round was decided incrementally
  bool carries_ = false;                      ///< decision_ carries something to the next round
  std::optional<ClusterView> recorded_;       ///< the view as of the last line
  std::uint64_t rounds_ = 0, decisions_ = 0;
  bool held_ = false;
  std::vector<std::pair<std::string, SlotChange>> lost_;
  bool by_index_ = false;
  std::deque<Pending> pending_;
  double price_ = 0;
};

/// A paused job has nothing to do with the policy's reasons: the decision says that it is paused. Told from the view, so that a replay says the same.
void say_paused(const ClusterView& view, Decision& decision);

}  // namespace sluice::manager
