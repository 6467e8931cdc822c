#pragma once
/// The data behind a report's page: one JSON document, thinned so that the page stays usable and below about 5 MB. Pure.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/compare.h"
#include "cli/report/digest.h"

namespace sluice::cli::report {

/// One run as far as its folder tells.
struct RunFiles {
  RunRecord record;
  Digest digest;
  std::vector<std::string> notes;  ///< what is missing or was not valid, a sentence each
};

/// How much of each kind a page holds, over all its runs.
struct Limits {
  std::size_t curve_points = 60'000;
  std::size_t decision_bytes = 3'000'000;  ///< with their sentences: the largest part
  std::size_t outcomes = 4'000;
  std::size_t times = 1'000;  ///< of the worker slots, each run
  std::size_t coloured = 24;  ///< jobs with a colour of their own
};

/// {"version":1,
///  "jobs":[name…]: everything else names jobs by their place here, "coloured":[place…]: those that are told apart, by slot-seconds where there are more,
///  "runs":[{"folder","policy","ended","wall","slots","servers","notes":[…],"problems":[…],"rounds":{…}|null,"moves":{…}|null,"moves_total","loss_seconds",
///           "seconds_to_90","reached","seconds_to_95","reached_95","worst":{"job","seconds","reached"}|null (to 90 %),
///           "groups": as groups_of() says (report/groups.h),
///           "jobs":[{"job","model","state","reason","submitted","seconds","first","final","validation","score","score_text","score_name",
///                    "seconds_to_90","seconds_to_95","steps","declared","slot_seconds","moves","redone","reference":[first, best],
///                    "points" (reports, before thinning),"t":[…],"q":[…]}],
///           "bands":{"t":[…],"jobs":[place or null for all others…],"n":[[…]…],"exact"},
///           "decisions_total","decisions":[as in Digest::decisions],
///           "outcomes":{"total","unpredicted","at_least","median_predicted","median_actual","points":[[place, predicted, actual, decision]…]}}],
///  "comparison": what `sluice compare --json` prints, or null; "not_compared": why}
/// t: seconds since the first job's submission. q: remaining normalised loss (smoothed loss − best) / (first − best): against the run's own first and best
/// loss, in a comparison against that of all runs; at most 4. Of
/// a job that never got better than its first loss: 1, and 4 where it was worse. Drops are in parts of first − best. Numbers that are not known are null.
[[nodiscard]] nlohmann::json document(const std::vector<RunFiles>& runs, const Limits& limits = {});

}  // namespace sluice::cli::report
