#pragma once
/// What equal shares would have done with the same jobs: a shadow in which every live job always has slots / jobs slots. From it come the usual time in system
/// and how far a job is behind its own fair schedule. A round is one pass over plain numbers, a few nanoseconds a job; one thread.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "manager/rate_model.h"

namespace sluice::manager {

class FairShadow {
 public:
  /// What is known of a live job now, said again when it changed; a new one joins. `total_steps` 0: not known, it stays until it ends. One that is `paused`
  /// stands still, and so does its stay.
  void see(JobId job, Instant submitted, double total_steps, const SpeedUp& speed_up, bool paused);
  /// The job ended, in truth, after so many steps: in the shadow it ends when it has done as many. One that never had a slot tells nothing of what is usual.
  void ended(JobId job, double steps, double slot_seconds);
  /// Lets the shadow go on to `now` with so many slots, of which jobs held `held` in truth.
  void advance(Instant now, std::uint32_t slots, std::uint32_t held);
  /// How long the shadow needed less from its last place to the job's: how far a job with `step` steps is behind it; below 0: ahead.
  [[nodiscard]] Duration behind(JobId job, double step) const;
  /// Mean time in system: that of all jobs over the number that left (Little's law; where stays are exponential, the likeliest mean of stays of which many are
  /// not over yet: Epstein and Sobel, Life testing, JASA 1953). The mean of stays that ended would be that of short ones for as long as the first jobs run. The
  /// last hundred count most. 0 before the first leaves.
  [[nodiscard]] Duration usual_stay() const { return from_seconds(stay_.mean()); }
  /// The same of slot-seconds in truth, of jobs that ended, however they did.
  [[nodiscard]] double usual_attained() const { return attained_.mean(); }
  /// Jobs that live, or that the shadow is not through with.
  [[nodiscard]] std::size_t known() const { return members_.size(); }

 private:
  struct Member {
    JobId id;
    Instant submitted;
    bool left = false;   ///< the shadow is through with it
    bool ended = false;  ///< so is the truth
  };
  /// What all jobs had, over how many ended.
  struct Usual {
    double had = 0, ends = 0;
    void end();
    [[nodiscard]] double mean() const { return ends > 0 ? had / ends : 0; }
  };
  /// Where the job is, or would be.
  [[nodiscard]] std::size_t place_of(JobId job) const;
  [[nodiscard]] bool has(std::size_t at, JobId job) const { return at < members_.size() && members_[at].id == job; }
  /// With its share of the last stretch.
  [[nodiscard]] double rate_of(std::size_t at) const { return SpeedUp{.alone = alone_[at], .kappa = kappa_[at]}.rate(each_); }
  void go_on(double more, double seconds, std::size_t first, std::size_t end);
  [[nodiscard]] bool some_reached(std::size_t first, std::size_t end) const;
  void take_in(Instant before);
  void leave();
  void stop(std::size_t at);
  // By job id, one entry each; those that every round reads apart from the others. running_: 1 until it left, then 0.
  std::vector<Member> members_;
  std::vector<double> done_, total_, alone_, kappa_, running_;
  std::size_t running_jobs_ = 0;
  std::vector<JobId> joined_;  ///< since the last advance()
  Instant at_;
  bool tidy_ = false;  ///< somebody is to leave
  double each_ = 0;    ///< slots of each, in the last stretch
  Usual stay_, attained_;
};

}  // namespace sluice::manager
