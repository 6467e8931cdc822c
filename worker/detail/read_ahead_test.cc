#include "worker/detail/read_ahead.h"

#include <gtest/gtest.h>

namespace sluice::worker {
namespace {

/// A slot whose batches take so long and are so stale, by whether it reads ahead. Returns in which part of `batches` it did.
struct Pace {
  double seconds[2] = {0.001, 0.001}, staleness[2] = {0, 1};
};

double share_ahead(ReadAhead& ahead, const Pace& pace, int batches, Instant& now) {
  int on = 0;
  for (int i = 0; i < batches; ++i) {
    const int way = ahead.on() ? 1 : 0;
    on += way;
    now = now + from_seconds(pace.seconds[way]);
    ahead.committed(now, pace.staleness[way]);
  }
  return static_cast<double>(on) / batches;
}

TEST(ReadAhead, BeginsFresh) { EXPECT_FALSE(ReadAhead().on()); }

TEST(ReadAhead, StaysFreshWhereTimeIsNotGained) {
  ReadAhead ahead;
  Instant now;
  EXPECT_LT(share_ahead(ahead, {}, 10'000, now), 0.05);
}

TEST(ReadAhead, ReadsAheadWhereThatHalvesABatch) {
  ReadAhead ahead;
  Instant now;
  EXPECT_GT(share_ahead(ahead, {.seconds = {0.002, 0.001}}, 10'000, now), 0.9);
}

TEST(ReadAhead, WeighsWhatStalenessTakesAgainstTheTimeGained) {
  ReadAhead ahead;
  Instant now;
  // 1.5 times the batches a second, and with four slots seven steps stale instead of three: 1.5 × (1 + 3 × .25) / (1 + 7 × .25) < 1.
  EXPECT_LT(share_ahead(ahead, {.seconds = {0.0015, 0.001}, .staleness = {3, 7}}, 10'000, now), 0.05);
  ReadAhead alone;
  EXPECT_GT(share_ahead(alone, {.seconds = {0.0015, 0.001}, .staleness = {0, 1}}, 10'000, now), 0.9);
}

TEST(ReadAhead, FindsOutWhenTheMachineChanged) {
  ReadAhead ahead;
  Instant now;
  (void)share_ahead(ahead, {}, 5'000, now);
  (void)share_ahead(ahead, {.seconds = {0.003, 0.001}}, 3'000, now);
  EXPECT_TRUE(ahead.on());
}

TEST(ReadAhead, APauseIsNoBatch) {
  ReadAhead ahead;
  Instant now;
  for (int i = 0; i < 10'000; ++i) {
    // Where it does not read ahead it is sent to wait all the time: that says nothing about batches.
    if (!ahead.on() && i % 3 == 0) {
      now = now + from_ms(50);
      ahead.paused();
    }
    now = now + from_ms(1);
    ahead.committed(now, ahead.on() ? 1 : 0);
  }
  EXPECT_FALSE(ahead.on());
}

TEST(ReadAhead, WhereTheClockShowsNoDifferenceItStaysFresh) {
  ReadAhead ahead;
  Instant now;
  EXPECT_LT(share_ahead(ahead, {.seconds = {0, 0}, .staleness = {0, 1}}, 10'000, now), 0.05);
}

}  // namespace
}  // namespace sluice::worker
