#pragma once
/// What equal shares would have done with the same jobs: a shadow in which every live job always has slots / jobs slots. From it come the usual time in system
/// and how far a job is behind its own fair schedule. O(jobs) a round; one thread.

#include <cstdint>
#include <map>

#include "base/clock.h"
#include "base/ids.h"
#include "manager/rate_model.h"

namespace sluice::manager {

class FairShadow {
 public:
  /// What is known of a live job now; a new one joins. `total_steps` 0: not known, it stays until it ends.
  void see(JobId job, Instant submitted, double total_steps, const SpeedUp& speed_up);
  /// The job ended, in truth, after so many steps and slot-seconds: in the shadow it ends when it has done as many steps.
  void ended(JobId job, double steps, double slot_seconds);
  /// Lets the shadow go on to `now` with so many slots.
  void advance(Instant now, std::uint32_t slots);
  /// How long the shadow needed less from its last place to the job's: how far a job with `step` steps is behind it; below 0: ahead.
  [[nodiscard]] Duration behind(JobId job, double step) const;
  /// Running mean (factor .01; of the first hundred, their mean) of the time in system; 0 before the first.
  [[nodiscard]] Duration usual_stay() const { return from_seconds(stay_); }
  /// The same of slot-seconds of jobs that ended.
  [[nodiscard]] double usual_attained() const { return attained_; }

 private:
  struct Member {
    Instant submitted;
    double done = 0, total = 0;
    SpeedUp speed_up;
    bool left = false;   ///< the shadow is through with it
    bool ended = false;  ///< so is the truth
  };
  static void take(double& mean, double& count, double value);
  std::map<JobId, Member> members_;
  Instant at_;
  double each_ = 0;  ///< slots of each, in the last stretch
  double stay_ = 0, stays_ = 0, attained_ = 0, attainments_ = 0;
};

}  // namespace sluice::manager
