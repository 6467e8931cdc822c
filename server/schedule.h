#pragma once
/// Learning-rate schedules: a factor of the rate for each of the job's steps. An optimizer's numbers hold one under names that begin with "schedule.":
///   schedule.warmup: w    the rate rises linearly over the first w steps: (step + 1) / w
///   schedule.every: n     after the warm-up, the rate is multiplied by schedule.factor (default 0.1) after each n steps
///   schedule.steps: n     after the warm-up the rate falls along half a cosine (Loshchilov, Hutter, ICLR 2017, equation 5, without restarts)
///                         and from step n on stays at schedule.floor (default 0) times itself; 0: the job's last step, which the worker fills in (it knows
///                         the data); left at 0 it falls not at all
/// At most one of the last two.

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "proto/job_spec.h"

namespace sluice::server {

class Schedule {
 public:
  /// Numbers that it does not know are somebody else's. Errors: kBadConfig: both `every` and `steps`, or a number without the one it belongs to.
  [[nodiscard]] static Result<Schedule> of(const proto::OptimizerSpec& spec);
  /// In [0, 1]; 1 at every step where the spec has no schedule.
  [[nodiscard]] double factor(std::uint32_t step) const;
  [[nodiscard]] bool constant() const { return warmup_ == 0 && every_ == 0 && !cosine_; }

 private:
  double warmup_ = 0, every_ = 0, factor_ = 1, steps_ = 0, floor_ = 0;
  bool cosine_ = false;
};

}  // namespace sluice::server
