#pragma once
/// Runs of the same jobs side by side, over one reference: a job's quality is measured from its submission against the best smoothed loss that any of the runs
/// reached; what was never reached counts as the end of the run. The same of each group's best. Pure but for load_…().

#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/loss_curve.h"
#include "base/result.h"
#include "manager/quality.h"

namespace sluice::cli {

struct JobRecord {
  std::vector<LossPoint> points;  ///< seconds since submission
  nlohmann::json summary;         ///< its entry in summary.json
};
struct RunRecord {
  std::string folder;
  std::string policy;
  double wall_seconds = 0;
  nlohmann::json specs;  ///< the jobs as submitted
  std::map<std::string, JobRecord> jobs;
  nlohmann::json summary;  ///< summary.json; null where there is none
};

/// One job in one run.
struct JobOutcome {
  double seconds_to_90 = 0;  ///< until the run's end if never reached
  bool reached = false;      ///< of 90 %
  double seconds_to_95 = 0;  ///< the same of 95 %
  double loss_seconds = 0;   ///< ∫ remaining normalised loss dt until the longest run's end
  nlohmann::json summary;
};
struct JobComparison {
  std::string job;
  double first_loss = 0;  ///< the largest first loss of the runs
  double best_loss = 0;   ///< the best smoothed loss of the runs
  std::vector<JobOutcome> runs;
};
/// The jobs of one `group`: what counts is the best smoothed loss that any of them had so far. Times from the first member's submission.
struct GroupComparison {
  struct Outcome {
    double seconds_to_90 = 0, seconds_to_95 = 0;  ///< until the run's end if never reached
    bool reached = false;                         ///< of 90 %
    double loss_seconds = 0;                      ///< ∫ remaining normalised loss of the best so far dt until the longest run's end
    double best_loss = 0;                         ///< the best smoothed loss of its members (best_level); infinite: none was reported
  };
  std::string group;
  double first_loss = 0;  ///< the largest first loss of any member in any run; -infinite: none was reported
  double best_loss = 0;   ///< the best smoothed loss of any member in any run; infinite: none was reported
  std::vector<Outcome> runs;
};
/// The best that any of some jobs had so far in one run.
struct BestSoFar {
  std::vector<manager::Level> levels;                            ///< seconds from `begun` on
  double begun = std::numeric_limits<double>::infinity();        ///< the first one's submission, seconds since the run's first job
  double first_loss = -std::numeric_limits<double>::infinity();  ///< the largest first loss; -infinite: none was reported
  double best_loss = std::numeric_limits<double>::infinity();    ///< the best smoothed loss; infinite: none was reported
};
/// Means over the jobs, and the worst job.
struct RunTotals {
  double seconds_to_90_mean = 0, seconds_to_95_mean = 0;
  double seconds_to_90_worst = 0;
  double loss_seconds_mean = 0;
};
struct Comparison {
  std::vector<RunRecord> runs;
  std::vector<JobComparison> jobs;
  std::vector<GroupComparison> groups;  ///< by name
  std::vector<RunTotals> totals;
};

/// Reads run.json, summary.json and losses.csv of an output folder. Errors: kNotFound (which file; not an output folder), kBadData (file:line and what).
[[nodiscard]] Result<RunRecord> load_run(const std::string& folder);
/// The same of a run that goes on or was killed: what is missing or not valid is left out, and a sentence for each is added to `notes`. Jobs without an entry
/// in summary.json have state "unfinished" there. Errors: kNotFound: not one of a run's files is in the folder.
[[nodiscard]] Result<RunRecord> load_what_is_there(const std::string& folder, std::vector<std::string>& notes);
/// Errors: kBadConfig: fewer than two runs, or runs of different jobs (which, and how they differ).
[[nodiscard]] Result<Comparison> compare(std::vector<RunRecord> runs);

/// REQUIRES: `run` has all of them, and there is one.
[[nodiscard]] BestSoFar best_so_far(const RunRecord& run, const std::vector<std::string>& names);

[[nodiscard]] std::string to_text(const Comparison& comparison);
/// {"version":1,"runs":[…],"jobs":[…]}
[[nodiscard]] std::string to_json(const Comparison& comparison);

}  // namespace sluice::cli
