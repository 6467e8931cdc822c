#pragma once
/// Whether a slot asks for the values of its next batch before it has pushed the one it computes. It buys time (a batch need not wait for its values) and costs
/// freshness: the gradient misses the slot's own latest update, and what the others push during a batch more. Which of both weighs more depends on the model,
/// on the machine and on what else it does, so it is measured: batches are taken in blocks either way, and what a way is worth is its batches a second times
/// what a step is worth at its staleness, 1 / (1 + kStalenessCost × s). One slot thread.

#include <array>
#include <cstdint>
#include <optional>

#include "base/clock.h"

namespace sluice::worker {

class ReadAhead {
 public:
  /// What a step of staleness costs, in parts of a fresh step, as a worker takes it, who hears no curve: the mean over four jobs, docs/benchmarks.md.
  static constexpr double kStalenessCost = 0.25;
  /// Batches of a block. The first ones still have what the other way began, and don't count.
  static constexpr std::uint32_t kBlock = 16, kSettling = 4;
  /// The other way is tried again after this many blocks, at first and at most; each time that it does not win doubles them.
  static constexpr std::uint32_t kPatience = 4, kPatienceMost = 64;

  [[nodiscard]] bool on() const { return on_; }
  /// A batch was committed at `now`, `staleness` steps stale.
  void committed(Instant now, double staleness);
  /// The slot waits for something else than values: the time until the next batch is not counted.
  void paused() { last_.reset(); }

 private:
  struct Way {
    double seconds = 0, staleness = 0;  ///< of a batch
    bool tried = false;
    [[nodiscard]] double worth() const { return 1 / (seconds * (1 + kStalenessCost * staleness)); }
  };
  void end_block();

  bool on_ = false;
  std::array<Way, 2> ways_;                  ///< [on]
  std::optional<Instant> last_;              ///< when the batch before was committed
  std::uint32_t batches_ = 0, counted_ = 0;  ///< of this block; those that are in the sums
  double seconds_ = 0, staleness_ = 0;
  std::uint32_t blocks_ = 0, patience_ = kPatience;  ///< since a way was chosen; until the other one is tried
  bool trying_ = false;                              ///< this block is of the way that was not chosen
};

}  // namespace sluice::worker
