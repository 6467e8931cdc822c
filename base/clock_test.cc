#include "base/clock.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(Clock, SystemTimeNeverGoesBackwards) {
  const SystemClock clock;
  Instant last = clock.now();
  for (int i = 0; i < 1000; ++i) {
    const Instant now = clock.now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_GT(clock.wall_ms(), 1'500'000'000'000);
}

TEST(Clock, SimulatedTimeMovesOnlyWhenTold) {
  SimClock clock;
  const Instant start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(from_ms(5));
  EXPECT_EQ(clock.now() - start, from_ms(5));
  clock.advance_to(start);
  EXPECT_EQ(clock.now() - start, from_ms(5)) << "never backwards";
}

TEST(Clock, NeverStaysNeverWhateverIsAdded) {
  EXPECT_EQ(Instant::never() + from_ms(1), Instant::never());
  EXPECT_LT(Instant{} + from_seconds(1e9), Instant::never());
  EXPECT_DOUBLE_EQ(from_us(1500).ms(), 1.5);
  EXPECT_DOUBLE_EQ((from_ms(250) * 8).seconds(), 2.0);
}

}  // namespace
}  // namespace sluice
