#pragma once
/// The jobs of a run file on their way to the manager, each at its time.

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/detail/client.h"
#include "cli/run_file.h"

namespace sluice::cli::detail {

/// Main thread. Time counts from the first send_due().
class Submissions {
 public:
  /// `deadline`: of one call. The manager and the clock must outlive it.
  Submissions(std::vector<JobPlan> jobs, ManagerClient& manager, Clock& clock, Duration deadline);
  /// Submits the jobs whose time has come, in the order of the file, all or none of those that are due together; returns at once where none is. Errors: what
  /// the manager refused, kCannotConnect.
  [[nodiscard]] Result<void> send_due();
  /// When the next jobs are due; one that all clocks stay below when none is left.
  [[nodiscard]] Instant next() const;
  [[nodiscard]] std::size_t left() const { return jobs_.size() - sent_; }
  /// The manager's answers in one document: {"version":1,"jobs":[{"job","id"}]}.
  [[nodiscard]] const Json& answer() const { return answer_; }
  /// "submitted 2 jobs", "submitted 2 jobs of 3".
  [[nodiscard]] std::string words() const;

 private:
  std::vector<JobPlan> jobs_;  ///< by time, then as in the file
  std::size_t sent_ = 0;
  ManagerClient& manager_;
  Clock& clock_;
  Duration deadline_;
  std::optional<Instant> begun_;
  Json answer_;
};

}  // namespace sluice::cli::detail
