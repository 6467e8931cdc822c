#include "base/rng.h"

#include <sys/random.h>

namespace sluice {

std::uint64_t entropy_seed() {
  std::uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != static_cast<ssize_t>(sizeof seed)) seed = 0x51a1ce;
  return seed;
}

}  // namespace sluice
