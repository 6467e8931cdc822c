#include "manager/detail/outbox.h"

#include <gtest/gtest.h>

#include "manager/detail/measured.h"

namespace sluice::manager {
namespace {

constexpr Instant at_ms(std::int64_t ms) { return Instant{ms * 1'000'000}; }
const WorkerId kWorker{1};
const ServerId kOne{1}, kTwo{2};
const JobId kJob{5};

TEST(Outbox, AGrantIsDueUntilItsOwnOrALaterDecisionIsAcknowledged) {
  Outbox box(from_ms(200));
  box.grant(kWorker, DecisionId{3});
  EXPECT_EQ(box.due_grants(at_ms(0)).size(), 1U);
  EXPECT_TRUE(box.due_grants(at_ms(199)).empty());
  EXPECT_EQ(box.next_timer(), at_ms(200));
  box.granted(kWorker, DecisionId{2});
  EXPECT_EQ(box.due_grants(at_ms(200)).size(), 1U);
  box.granted(kWorker, DecisionId{3});
  EXPECT_TRUE(box.due_grants(at_ms(999)).empty());
  EXPECT_EQ(box.next_timer(), Instant::never());
  box.grant(kWorker, DecisionId{4});
  EXPECT_EQ(box.due_grants(at_ms(999)).size(), 1U) << "at once";
}

TEST(Outbox, TheEndOfAJobIsToldOnlyWhenTheWorkersHaveHeardOrMuchLater) {
  Outbox box(from_ms(200));
  box.grant(kWorker, DecisionId{1});
  box.end(kJob, {kOne, kTwo}, at_ms(3000));
  EXPECT_TRUE(box.due_ends(at_ms(100)).empty());
  box.granted(kWorker, DecisionId{1});
  EXPECT_EQ(box.due_ends(at_ms(100)).size(), 2U);
  box.ended(kJob, kOne);
  EXPECT_EQ(box.due_ends(at_ms(300)), (std::vector<std::pair<ServerId, JobId>>{{kTwo, kJob}}));
  box.ended(kJob, kTwo);
  EXPECT_TRUE(box.due_ends(at_ms(9000)).empty());

  box.grant(kWorker, DecisionId{2});
  box.end(kJob, {kOne}, at_ms(3000));
  EXPECT_TRUE(box.due_ends(at_ms(2999)).empty());
  EXPECT_EQ(box.due_ends(at_ms(3000)).size(), 1U);
  box.forget(kOne);
  EXPECT_TRUE(box.due_ends(at_ms(9000)).empty());
}

TEST(Outbox, ManyEndsAreToldSomeAtATimeUntilAllAreAnswered) {
  Outbox box(from_ms(200));
  constexpr std::uint64_t kJobs = 2 * Outbox::kOpenMax + 500;
  for (std::uint64_t id = 1; id <= kJobs; ++id) box.end(JobId{id}, {kOne, kTwo}, at_ms(0));
  std::set<JobId> told;
  std::int64_t ms = 0;
  for (; ms < 10'000 && box.next_timer() != Instant::never(); ms += 100) {
    const auto due = box.due_ends(at_ms(ms));
    EXPECT_LE(due.size(), 2 * Outbox::kOpenMax);
    EXPECT_GT(box.next_timer(), at_ms(ms)) << "what waits for answers does not keep its caller busy";
    for (const auto& [server, job] : due) {
      told.insert(job);
      if (server == kOne || ms >= 3000) box.ended(job, server);  // the other one is slow
    }
  }
  EXPECT_EQ(told.size(), kJobs);
  EXPECT_LT(ms, 4000);
  EXPECT_FALSE(box.ending(JobId{1}) || box.ending(JobId{kJobs}));
}

TEST(Measured, PercentilesAreNearestRanksOfTheNewest) {
  Measured m;
  EXPECT_EQ(m.percentile(0.5), 0);
  for (int i = 1; i <= 100; ++i) m.add(i);
  EXPECT_EQ(m.percentile(0.5), 50);
  EXPECT_EQ(m.percentile(0.99), 99);
  EXPECT_EQ(m.percentile(1), 100);
  EXPECT_EQ(m.percentile(0), 1);
  for (std::size_t i = 0; i < Measured::kSamplesMax; ++i) m.add(7);
  EXPECT_EQ(m.percentile(1), 7);
  EXPECT_EQ(m.count(), 100 + Measured::kSamplesMax);
}

}  // namespace
}  // namespace sluice::manager
