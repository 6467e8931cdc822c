#pragma once
/// Where a job whose passes have an end (Model::finish_phase) is: which ends are applied, and what is under way of the next. One slot ends a pass, once all of
/// its rows are committed; what it changes is held by the shards until it is committed, and then applied as one. One thread.

#include <cstdint>
#include <string>

#include "proto/messages.h"

namespace sluice::server {

/// The end of that pass is to be computed.
struct PhasePiece {
  std::uint32_t phase = 0;
};

struct Phases {
  enum class State : std::uint8_t {
    kPass = 0,    ///< rows are trained on, or the end waits for a slot
    kLeased = 1,  ///< a slot is at it
    kApplying = 2,
  };
  std::uint32_t total = 0;   ///< 0: the job has none
  std::uint32_t done = 0;    ///< passes whose end is applied
  std::uint32_t before = 0;  ///< those of them that were when the job was restored: its shards count applies from there
  State state = State::kPass;
  bool last = false;   ///< the end that is being applied is the job's
  std::string reason;  ///< why

  [[nodiscard]] bool any() const { return total > 0; }
};

}  // namespace sluice::server
