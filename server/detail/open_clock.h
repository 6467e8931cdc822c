#pragma once
/// bsp: what a job home knows of the clock that is open. What depends on who comes first is decided at the borders between clocks only, in the order of the
/// clients' ids: so the same slots do the same work in every run.

#include <cstdint>
#include <map>

#include "base/clock.h"
#include "base/ids.h"
#include "proto/messages.h"

namespace sluice::server {

struct OpenClock {
  std::uint64_t clock = 0;
  std::uint64_t step = 0;                             ///< the job's when it began
  std::map<Incarnation, proto::ApplySlot> committed;  ///< a slot that leaves after its commit stays: its batch counts
  bool applying = false;                              ///< closed, and on its way to the shards
  bool border = true;                                 ///< just begun: whoever has no lease gets one
  bool begun = false;                                 ///< the job's first slots are together
  Instant since = Instant::never();                   ///< when the first of them asked for work
};

}  // namespace sluice::server
