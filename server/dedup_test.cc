#include "server/dedup.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"

namespace sluice::server {
namespace {

using Verdict = SequenceLog::Verdict;
using proto::Outcome;
constexpr Incarnation kA{1}, kB{2};

TEST(SequenceLog, OnlyLastPlusOneIsApplied) {
  SequenceLog log;
  for (std::uint64_t s = 1; s <= 200; ++s) {
    EXPECT_EQ(log.check(kA, s + 1).verdict, Verdict::kGap);
    EXPECT_EQ(log.check(kA, s + 1).expected, s);
    ASSERT_EQ(log.check(kA, s).verdict, Verdict::kApply);
    log.record(kA, s, Outcome::kOk);
    EXPECT_EQ(log.check(kA, s).verdict, Verdict::kRepeat);
  }
}

TEST(SequenceLog, ClientsDoNotDisturbEachOther) {
  SequenceLog log;
  log.record(kB, 1, Outcome::kOk);
  EXPECT_EQ(log.check(kA, 1).verdict, Verdict::kApply);
  log.record(kA, 1, Outcome::kRejected, "a's");
  EXPECT_EQ(log.check(kB, 1).outcome, Outcome::kOk);
}

TEST(SequenceLog, ARepeatIsAnsweredAsTheFirstWas) {
  SequenceLog log;
  SeededRng rng(5);
  std::map<std::uint64_t, std::pair<Outcome, std::string>> answers;
  for (std::uint64_t s = 1; s <= 500; ++s) {
    constexpr Outcome kOutcomes[] = {Outcome::kOk, Outcome::kRejected, Outcome::kFull};
    const Outcome outcome = kOutcomes[rng.below(3)];
    const std::string text = outcome == Outcome::kOk ? "" : "why " + std::to_string(s);
    log.record(kA, s, outcome, text);
    answers[s] = {outcome, text};
    for (std::uint64_t back = 0; back < SequenceLog::kRemembered && back < s; ++back) {
      const auto check = log.check(kA, s - back);
      ASSERT_EQ(check.verdict, Verdict::kRepeat);
      ASSERT_EQ(std::pair(check.outcome, std::string(check.text)), answers[s - back]);
    }
    if (s > SequenceLog::kRemembered) { ASSERT_EQ(log.check(kA, s - SequenceLog::kRemembered).verdict, Verdict::kForgotten); }
  }
}

TEST(SequenceLog, ARefusalConsumesItsNumber) {
  SequenceLog log;
  log.record(kA, 1, Outcome::kRejected, "nan");
  EXPECT_EQ(log.check(kA, 2).verdict, Verdict::kApply);
  EXPECT_EQ(log.check(kA, 1).verdict, Verdict::kRepeat);
}

TEST(SequenceLog, ZeroIsNoNumber) {
  SequenceLog log;
  EXPECT_EQ(log.check(kA, 0).verdict, Verdict::kForgotten);
}

TEST(SequenceLog, ClientsAreBounded) {
  SequenceLog log;
  for (std::uint64_t c = 1; c <= SequenceLog::kClientsMax; ++c) log.record(Incarnation(c), 1, Outcome::kOk);
  EXPECT_EQ(log.check(Incarnation(SequenceLog::kClientsMax + 1), 1).verdict, Verdict::kCrowded);
  EXPECT_EQ(log.check(kA, 2).verdict, Verdict::kApply);
  log.forget([](Incarnation client) { return client < Incarnation(100); });
  EXPECT_EQ(log.clients(), SequenceLog::kClientsMax - 99);
  EXPECT_EQ(log.check(Incarnation(SequenceLog::kClientsMax + 1), 1).verdict, Verdict::kApply);
}

}  // namespace
}  // namespace sluice::server
