#include "manager/detail/checkpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {

using testing::HasSubstr;

class CheckpointsTest : public testing::Test {
 protected:
  CheckpointsTest() {
    for (std::uint64_t i = 1; i <= 2; ++i) {
      auto& job = jobs_.emplace_back();
      job.id = JobId(i);
      job.spec.name = "job-" + std::to_string(i);
    }
  }
  [[nodiscard]] std::vector<const Job*> both() const { return {&jobs_[0], &jobs_[1]}; }
  [[nodiscard]] nlohmann::json of(const std::string& cut, std::uint64_t job) {
    const auto status = all.status(cut);
    EXPECT_TRUE(status) << status.error().what;
    for (const auto& entry : status->at("jobs"))
      if (entry["id"] == job) return entry;
    return {};
  }
  static proto::Saved part(const std::string& cut, std::uint64_t bytes, bool home = false) {
    return {cut, bytes, home, home ? 2.5 : 0, home ? 40U : 0, "", ""};
  }
  std::vector<Job> jobs_;
  Checkpoints all{from_ms(100)};
  const std::set<ServerId> servers{ServerId(1), ServerId(2)};
};

TEST_F(CheckpointsTest, IsWholeWhenEveryServerHasWrittenItsPartOfEveryJob) {
  ASSERT_TRUE(all.begin("c", "/to", both(), servers));
  EXPECT_EQ(all.due(Instant{1}).size(), 4U);
  EXPECT_TRUE(all.due(Instant{2}).empty()) << "not again at once";
  EXPECT_EQ(all.due(Instant{1} + from_ms(100)).size(), 4U) << "but until it is answered";
  all.saved(JobId(1), ServerId(1), part("c", 10, true));
  all.saved(JobId(1), ServerId(1), part("c", 10, true));  // a repeat
  EXPECT_EQ(of("c", 1)["state"], "saving");
  all.saved(JobId(1), ServerId(2), part("c", 5));
  EXPECT_EQ(of("c", 1)["state"], "saved");
  EXPECT_EQ(of("c", 1)["bytes"], 15);
  EXPECT_EQ(of("c", 1)["step"], 40);
  EXPECT_FALSE(all.status("c")->at("done"));
  all.saved(JobId(2), ServerId(2), part("other", 5));  // of another checkpoint
  all.saved(JobId(2), ServerId(2), part("c", 5));
  all.saved(JobId(2), ServerId(1), part("c", 5));
  EXPECT_TRUE(all.status("c")->at("done"));
  EXPECT_TRUE(all.due(Instant::never()).empty());
  EXPECT_EQ(all.next_timer(), Instant::never());
}

TEST_F(CheckpointsTest, AFailureIsTheFirstServersWordsAndAllServersAreToldUntilTheyHaveHeard) {
  ASSERT_TRUE(all.begin("c", "/to", {&jobs_[0]}, servers));
  all.saved(JobId(1), ServerId(2), {"c", 0, false, 0, 0, "io", "no space left"});
  all.saved(JobId(1), ServerId(1), {"c", 0, false, 0, 0, "internal", "another"});
  EXPECT_EQ(of("c", 1)["state"], "failed");
  EXPECT_EQ(of("c", 1)["reason"], "no space left");
  EXPECT_EQ(of("c", 1)["code"], "io");
  const auto due = all.due(Instant{1});
  ASSERT_EQ(due.size(), 2U);
  for (const auto& order : due) EXPECT_EQ(order.order.folder, "") << "given up";
  for (const auto server : servers) all.saved(JobId(1), server, part("c", 0));
  EXPECT_TRUE(all.due(Instant::never()).empty());
}

TEST_F(CheckpointsTest, WhatHasNotBegunIsNoFailureAndItsSpecIsSaid) {
  ASSERT_TRUE(all.begin("c", "/to", both(), servers));
  all.saved(JobId(1), ServerId(2), {"c", 0, false, 0, 0, "not_found", "the job has not begun"});
  EXPECT_EQ(of("c", 1)["state"], "not_begun");
  EXPECT_FALSE(of("c", 1).contains("spec")) << "many jobs' specs are too long for one answer";
  const auto one = all.status("c", "job-1");
  ASSERT_TRUE(one);
  ASSERT_EQ(one->at("jobs").size(), 1U);
  EXPECT_EQ(one->at("jobs")[0]["spec"], proto::to_json(jobs_[0].spec));
  ASSERT_TRUE(all.begin("d", "/to", {&jobs_[0]}, {}));
  EXPECT_EQ(of("d", 1)["state"], "not_begun") << "no server is there yet";
}

TEST_F(CheckpointsTest, ALostServerFailsWhatItHadPartsOfAndAnEndedJobIsNotWaitedFor) {
  ASSERT_TRUE(all.begin("c", "/to", both(), servers));
  all.saved(JobId(1), ServerId(1), part("c", 5));
  all.saved(JobId(1), ServerId(2), part("c", 5));
  all.ended(JobId(1), "epochs reached");
  EXPECT_EQ(of("c", 1)["state"], "saved") << "it was saved before its end";
  all.lost(ServerId(2), "s2");
  EXPECT_EQ(of("c", 2)["state"], "failed");
  EXPECT_THAT(of("c", 2)["reason"].get<std::string>(), HasSubstr("server s2 was lost"));
  EXPECT_EQ(all.due(Instant::never()).size(), 1U) << "the other one is told";
  ASSERT_TRUE(all.begin("d", "/to", {&jobs_[1]}, servers));
  all.ended(JobId(2), "cancelled");
  EXPECT_EQ(of("d", 2)["state"], "ended");
  EXPECT_THAT(of("d", 2)["reason"].get<std::string>(), HasSubstr("cancelled"));
  EXPECT_TRUE(all.due(Instant::never()).empty());
}

TEST_F(CheckpointsTest, NamesAndJobsUnderWayAreRefusedAndOldOnesForgotten) {
  ASSERT_TRUE(all.begin("c", "/to", {&jobs_[0]}, servers));
  EXPECT_THAT(all.begin("c", "/to", {&jobs_[1]}, servers).error().what, HasSubstr("'c' already"));
  EXPECT_THAT(all.begin("d", "/there", both(), servers).error().what, HasSubstr("job 'job-1' is being saved already, to /to"));
  EXPECT_THAT(all.status("x").error().what, HasSubstr("no checkpoint 'x'"));
  for (std::size_t i = 0; i < 2 * Checkpoints::kRememberedMax; ++i) {
    const std::string cut = "n-" + std::to_string(i);
    ASSERT_TRUE(all.begin(cut, "/to", {&jobs_[1]}, servers)) << i;
    all.ended(JobId(2), "done");
  }
  EXPECT_FALSE(all.status("n-0"));
  EXPECT_TRUE(all.status("c")) << "under way: not forgotten";
}

}  // namespace
}  // namespace sluice::manager
