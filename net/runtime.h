#pragma once
/// The four seams, together: all that a role needs from the outside world. The references outlive every role.

#include "base/clock.h"
#include "base/executor.h"
#include "base/rng.h"
#include "net/transport.h"

namespace sluice::net {

struct Runtime {
  Clock& clock;
  Transport& transport;
  Executor& executor;
  std::uint64_t seed;  ///< roles make their own SeededRng(mix64(seed, their name)) from it: Rng objects belong to one thread
};

}  // namespace sluice::net
