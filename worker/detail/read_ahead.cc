#include "worker/detail/read_ahead.h"

#include <algorithm>

namespace sluice::worker {

namespace {
constexpr double kNewest = 0.5;     // a block's weight against what was known of its way
constexpr double kClearly = 1.05;   // by how much the other way has to be better: batches' times are noisy
constexpr double kShortest = 1e-9;  // s, of a batch
}  // namespace

void ReadAhead::committed(Instant now, double staleness) {
  if (last_ && batches_ >= kSettling) {
    seconds_ += std::max(kShortest, (now - *last_).seconds());
    staleness_ += staleness;
    ++counted_;
  }
  last_ = now;
  if (++batches_ >= kBlock && counted_ > 0) end_block();
}

void ReadAhead::end_block() {
  Way& way = ways_[on_ ? 1 : 0];
  const double weight = way.tried ? kNewest : 1;
  way.seconds += weight * (seconds_ / counted_ - way.seconds);
  way.staleness += weight * (staleness_ / counted_ - way.staleness);
  way.tried = true;
  batches_ = counted_ = 0;
  seconds_ = staleness_ = 0;

  if (trying_) {
    trying_ = false;
    blocks_ = 0;
    const bool better = way.worth() > kClearly * ways_[on_ ? 0 : 1].worth();
    patience_ = better ? kPatience : std::min(2 * patience_, kPatienceMost);
    if (!better) on_ = !on_;
  } else if (++blocks_ >= patience_ || !ways_[on_ ? 0 : 1].tried) {
    trying_ = true;
    on_ = !on_;
  }
}

}  // namespace sluice::worker
