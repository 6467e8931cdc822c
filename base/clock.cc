#include "base/clock.h"

#include <ctime>

namespace sluice {
namespace {
std::int64_t read_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
}  // namespace

Instant SystemClock::now() const { return {read_ns(CLOCK_MONOTONIC)}; }
std::int64_t SystemClock::wall_ms() const { return read_ns(CLOCK_REALTIME) / 1'000'000; }

}  // namespace sluice
