#pragma once
/// Time as a slot that waits for servers sees it: what the slot spent at work itself is left out, so that a long batch is not taken for a server's silence.
/// One thread. It goes back when time is left out: a time taken from it between the begin and the end of what is left out lies in its future afterwards.

#include "base/clock.h"

namespace sluice::worker {

class WaitingClock final : public Clock {
 public:
  /// `real` outlives this.
  explicit WaitingClock(const Clock& real) : real_(real) {}
  [[nodiscard]] Instant now() const override { return Instant{real_.now().ns - left_out_.ns}; }
  [[nodiscard]] std::int64_t wall_ms() const override { return real_.wall_ms(); }
  /// The last `time` was no waiting.
  void leave_out(Duration time) { left_out_ = left_out_ + time; }
  /// When the other clock shows what this one will show at `waiting`, if from now on all time is waiting.
  [[nodiscard]] Instant real(Instant waiting) const { return waiting + left_out_; }

 private:
  const Clock& real_;
  Duration left_out_{};
};

}  // namespace sluice::worker
