#pragma once
/// A recorded run decided again: from decisions.jsonl alone, round by round, each on the view that was recorded with it. With the policy that decided it the
/// lines come out byte by byte as they were; with another one the difference is counted. Pure but for the file.

#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "manager/cluster_view.h"
#include "manager/policy.h"

namespace sluice::manager {

/// One "round" line as it was recorded, and the whole view that its patch leads to.
struct RecordedRound {
  std::size_t line = 0;  ///< of the file, from 1
  std::string text;      ///< without its newline
  nlohmann::json json;
  ClusterView view;
  bool first = false;  ///< of its manager's life: the fleet and the view before it are nothing
};

/// Calls `each` for every round of the file, in order. Errors: kNotFound; kBadData naming file and line: not a JSON object, a cut last line, a decision that is
/// missing, a line without what it must have, a view that is none; those of `each`.
[[nodiscard]] Result<void> read_rounds(const std::string& path, const std::function<Result<void>(const RecordedRound&)>& each);

/// The first place where a line is decided otherwise than it was recorded.
struct Difference {
  std::size_t line = 0;
  std::uint64_t decision = 0;
  std::string where;  ///< a JSON pointer into the line
  std::string recorded, again;
};

/// How a job fares, as recorded and as the policy would have it in each recorded round on its own.
struct ReplayedJob {
  std::string name;
  double recorded_slot_seconds = 0, again_slot_seconds = 0;
  std::uint64_t rounds = 0, differing = 0;  ///< recorded rounds with it; with another number of slots
};

struct Replay {
  std::string policy;                              ///< "same" where each line's own policy was asked
  std::vector<std::string> recorded_policies;      ///< with their versions: "slaq 4"
  std::vector<std::string> versions;               ///< "slaq: recorded with version 3, this is version 4": same bytes can't be asked for
  std::uint64_t rounds = 0, differing_rounds = 0;  ///< with another number of slots for any job
  std::uint64_t slots_changed = 0;                 ///< summed over the rounds: slots that go to another job than was recorded
  double seconds = 0;                              ///< from the first recorded round to the last
  std::map<std::uint64_t, ReplayedJob> jobs;       ///< by id
  std::optional<Difference> first;                 ///< only of "same"
};

/// `policy`: a registered name, or "same". Errors: as read_rounds; kBadConfig: an unknown policy (of the argument, or in the file).
[[nodiscard]] Result<Replay> replay(const std::string& path, const std::string& policy);

}  // namespace sluice::manager
