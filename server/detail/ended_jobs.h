#pragma once
/// Jobs that ended: what still comes for them is refused, and nothing of theirs is made again. Job ids are never reused.

#include <set>

#include "base/ids.h"
#include "base/result.h"

namespace sluice::server {

class EndedJobs {
 public:
  void add(JobId job) {
    if (job > floor_) above_.insert(job);
    // Jobs end nearly in order, so the set stays small.
    while (!above_.empty() && above_.begin()->value == floor_.value + 1) {
      floor_ = *above_.begin();
      above_.erase(above_.begin());
    }
  }
  [[nodiscard]] bool contains(JobId job) const { return job <= floor_ || above_.contains(job); }

 private:
  JobId floor_{0};  ///< this one and all below ended
  std::set<JobId> above_;
};

}  // namespace sluice::server
