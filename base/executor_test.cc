#include "base/executor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

namespace sluice {
namespace {

/// Does something every `interval`, `times` times, and writes down when.
class Ticker final : public Actor {
 public:
  Ticker(Clock& clock, Duration interval, int times, std::string& log, char name) : clock_(clock), interval_(interval), left_(times), log_(log), name_(name) {}
  [[nodiscard]] Step step() override {
    if (clock_.now() < next_ || left_ == 0) return {false, left_ == 0 ? Instant::never() : next_};
    next_ = clock_.now() + interval_;
    --left_;
    log_ += name_;
    return {true, next_};
  }
  void wait(Instant) override {}
  void wake() override {}
  void stop() override { left_ = 0; }
  [[nodiscard]] bool ended() const override { return left_ == 0; }

 private:
  Clock& clock_;
  Duration interval_;
  int left_;
  Instant next_{};
  std::string& log_;
  char name_;
};

std::string run(std::uint64_t seed) {
  SimClock clock;
  std::string log;
  SimExecutor executor(clock, seed);
  for (const char name : {'a', 'b', 'c'}) executor.start(std::string(1, name), std::make_unique<Ticker>(clock, from_ms(10), 20, log, name));
  EXPECT_FALSE(executor.run_until([] { return false; }, clock.now() + from_seconds(100)));
  return log;
}

TEST(SimExecutor, TheSameSeedIsTheSameRunAndAnotherSeedIsAnotherOrder) {
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
  EXPECT_EQ(run(1).size(), 60U);
}

TEST(SimExecutor, TimePassesOnlyWhenNothingIsReadyAndThenToTheNextTimer) {
  SimClock clock;
  std::string log;
  SimExecutor executor(clock, 1, {}, Duration{0});
  const Instant start = clock.now();
  executor.start("a", std::make_unique<Ticker>(clock, from_ms(10), 5, log, 'a'));
  EXPECT_TRUE(executor.run_until([&] { return log.size() == 5; }, clock.now() + from_seconds(1)));
  EXPECT_EQ(clock.now() - start, from_ms(40));
}

TEST(SimExecutor, EventsFromOutsideMoveTheClockToo) {
  SimClock clock;
  const Instant event = clock.now() + from_ms(7);
  SimExecutor executor(clock, 1, [&] { return clock.now() < event ? event : Instant::never(); });
  EXPECT_TRUE(executor.run_until([&] { return clock.now() >= event; }, clock.now() + from_seconds(1)));
  EXPECT_FALSE(executor.run_until([] { return false; }, clock.now() + from_seconds(1))) << "nothing can happen any more";
}

TEST(SimExecutor, TheKilledDoNotStepAgainAndAreDestroyed) {
  SimClock clock;
  std::string log;
  SimExecutor executor(clock, 1);
  executor.start("x/1", std::make_unique<Ticker>(clock, from_ms(10), 100, log, 'x'));
  executor.start("x/2", std::make_unique<Ticker>(clock, from_ms(10), 100, log, 'x'));
  executor.start("y", std::make_unique<Ticker>(clock, from_ms(10), 100, log, 'y'));
  EXPECT_TRUE(executor.run_until([&] { return log.size() > 5; }, clock.now() + from_seconds(9)));
  EXPECT_EQ(executor.kill("x"), 2U);
  log.clear();
  EXPECT_TRUE(executor.run_until([&] { return log.size() > 20; }, clock.now() + from_seconds(9)));
  EXPECT_EQ(log.find('x'), std::string::npos);
}

/// Sleeps until woken, counts its wakes.
class Sleeper final : public Actor {
 public:
  explicit Sleeper(std::atomic<int>& steps) : steps_(steps) {}
  [[nodiscard]] Step step() override {
    ++steps_;
    return {};
  }
  void wait(Instant) override { woken_.wait(false), woken_ = false; }
  void wake() override { woken_ = true, woken_.notify_all(); }
  void stop() override { stopped_ = true; }
  [[nodiscard]] bool ended() const override { return stopped_; }

 private:
  std::atomic<int>& steps_;
  std::atomic<bool> woken_{false};
  std::atomic<bool> stopped_{false};
};

TEST(ThreadExecutor, StoppingWakesEveryActorAndJoinReturns) {
  std::atomic<int> steps = 0;
  ThreadExecutor executor;
  for (int i = 0; i < 4; ++i) executor.start("sleeper", std::make_unique<Sleeper>(steps));
  executor.stop();
  executor.join();
  executor.start("late", std::make_unique<Sleeper>(steps));
  executor.join();
}

}  // namespace
}  // namespace sluice
