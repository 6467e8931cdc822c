#pragma once
/// Who gets how many worker slots. A policy is a pure function of the view: no clock, no I/O, no randomness, and nothing but values. Contract suite over every
/// registered name: policies/contract_test.cc.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/registry.h"
#include "manager/cluster_view.h"
#include "manager/predictor.h"

namespace sluice::manager {

/// Why a job has what it has; stable codes in the log.
enum class Reason : std::uint8_t {
  kShare = 0,         ///< its (weighted) share
  kTurn = 1,          ///< fewer slots than shares: its turn came, or still runs
  kTurnOver = 2,      ///< its quantum ended and others are owed more
  kWaitingTurn = 3,   ///< others are owed more
  kFirstReports = 4,  ///< too few reports for a prediction to count: tried first, by submission
  kLargestDrop = 5,   ///< the largest predicted drop
  kSmallerDrop = 6,   ///< others' predicted drop is larger
  kQuantum = 7,       ///< keeps its slots until its quantum ends
  kFinishFirst = 8,   ///< its final evaluation needs a slot
  kMinimum = 9,       ///< its slots_min
  kParked = 10,       ///< diverging: its minimum only
  kSpare = 11,        ///< nobody else could use the slot
  kNoSlots = 12,      ///< there are no slots
  kWorkerLost = 13,   ///< its worker is lost (said by the round, not by a policy)
  kEnded = 14,        ///< the job is done or failed (said by the round)
  kPaused = 15,       ///< a person paused it (said by the round)
  kCancelled = 16,    ///< a person cancelled it (said by the round)
  kResumed = 17,      ///< a person resumed it (of the order; its slots come for the policy's reasons)
  kChanged = 18,      ///< a person gave it another weight, minimum or maximum (of the order)
};
[[nodiscard]] std::string_view name_of(Reason reason);

/// A job that could have used a slot more and did not get it.
struct Refusal {
  JobId job;
  Reason reason = Reason::kSmallerDrop;
  double index = 0;  ///< what it was ranked by
  std::string sentence;
  friend bool operator==(const Refusal&, const Refusal&) = default;
};

struct JobDecision {
  JobId job;
  std::uint32_t slots = 0;
  std::int64_t deficit_ns = 0;  ///< next value of the view's field
  std::int64_t rounding = 0;    ///< next value of the view's field
  Instant quantum_since;        ///< next value of the view's field
  Reason reason = Reason::kShare;
  std::string sentence;      ///< for a person
  double share = 0;          ///< entitlement before rounding, in slots
  double drop_with = 0;      ///< predicted drop of the loss until the quantum's end, with the slots of this decision
  double drop_without = 0;   ///< … with the slots it had
  double deviation = 0;      ///< standard deviation of drop_with
  double index = 0;          ///< what the job was ranked by
  double marginal_gain = 0;  ///< predicted normalised drop per second of its last slot (with none: of a first one)
  friend bool operator==(const JobDecision&, const JobDecision&) = default;
};

struct Decision {
  std::vector<JobDecision> jobs;  ///< every job of the view, by id
  std::vector<Refusal> refused;   ///< by index, the largest first; at most kRefusedMax
  double price = 0;               ///< per slot, where the policy has one
  bool by_index = false;          ///< next value of the view's field
  friend bool operator==(const Decision&, const Decision&) = default;
};
inline constexpr std::size_t kRefusedMax = 8;

/// What a policy may keep between calls to be faster; never to decide otherwise.
class Memo {
 public:
  virtual ~Memo() = default;
  /// False: sentences may be left out but for jobs whose slots change, and for those that are refused.
  bool all_sentences = true;
};

/// A policy at work over many jobs: what it needs of them it keeps as plain numbers, and what is carried from round to round (JobView::deficit_ns, rounding,
/// quantum_since) too. It decides what Policy::decide would, to the last bit. One thread.
class Incremental {
 public:
  struct Change {
    std::uint32_t place = 0;  ///< in view.jobs
    std::uint32_t slots = 0;
  };
  struct Answer {
    std::vector<Change> changes;  ///< jobs that get other slots than they have, by place
    double price = 0;
    bool by_index = false;
  };
  virtual ~Incremental() = default;
  /// `changed`: places of jobs whose values differ from the call before, but for what is carried and for slots as that call decided them; new jobs are at the
  /// end. `anew`: nothing is known of the call before, and the view has what is carried. It reads the forecasts of jobs alone whose end_deviation is 0: the
  /// others' may be older. REQUIRES: view.jobs by id; `slots` are slots_of(view), which of very many hosts takes a while to add up. Null: decide() has to do
  /// it, after put().
  [[nodiscard]] virtual const Answer* decide(const ClusterView& view, std::uint32_t slots, std::span<const std::uint32_t> changed, bool anew) = 0;
  /// Puts what the last call carries to the next one into that call's view.
  virtual void put(ClusterView& view) const = 0;
  /// … what had been carried to the last call.
  virtual void put_seen(ClusterView& view) const = 0;
};

class Policy {
 public:
  virtual ~Policy() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// The predictor that makes the forecasts it sees.
  [[nodiscard]] virtual std::string_view predictor() const { return kDefaultPredictor; }
  /// Counts changes of what it decides: recorded, so that a replay knows what it compares.
  [[nodiscard]] virtual std::uint32_t version() const = 0;
  /// REQUIRES: job ids distinct. An empty memo gives the same decision. It is not told what changed since the call before: who wants to know that has an
  /// Incremental.
  [[nodiscard]] virtual Decision decide(const ClusterView& view, Memo& memo) const = 0;
  /// The stated bound: the most slots that this decision may give to a job that did not hold them.
  [[nodiscard]] virtual std::uint32_t moves_max(const ClusterView& view) const = 0;
  [[nodiscard]] virtual std::unique_ptr<Memo> make_memo() const { return std::make_unique<Memo>(); }
  /// Null: it has none, and all is decided by decide().
  [[nodiscard]] virtual std::unique_ptr<Incremental> make_incremental() const { return nullptr; }
};

using MakePolicy = std::function<std::unique_ptr<Policy>()>;
using PolicyRegistry = Registry<MakePolicy>;

/// What a run file, a cluster or a manager that names none gets.
inline constexpr std::string_view kDefaultPolicy = "sluice";
/// Those of policies/.
[[nodiscard]] PolicyRegistry builtin_policies();

}  // namespace sluice::manager
