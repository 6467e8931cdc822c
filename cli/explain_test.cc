#include "cli/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-explain-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(folder_ + "/decisions.jsonl")
        << R"({"kind":"round","decision":1,"round":1,"time_ms":510,"policy":"slaq","changes":[{"job":"mlp","before":0,"after":1,"loss":2.3,"normalized_loss":1,"reason":"share","sentence":"its share"}]})"
        << "\n{\"kind\":\"moved\",\"to\":\"mlp\"}\n"
        << R"({"kind":"round","decision":2,"round":3,"time_ms":1510,"policy":"slaq","changes":[{"job":"mlp","before":1,"after":0,"reason":"smaller_drop","sentence":"softmax gains more"},)"
        << R"({"job":"softmax","before":0,"after":1,"reason":"largest_drop","sentence":"gains most"}]})"
        << "\n"
        << R"({"kind":"asked","decision":1,"time_ms":900,"job":"mlp","reason":"paused","sentence":"paused; it was running with 1 worker slot"})"
        << "\n{\"kind\":\"rou";  // cut by a kill
  }
  ~ExplainTest() override { fs::remove_all(folder_); }
  std::string folder_;
};

TEST_F(ExplainTest, EveryChangeOfAJobWithItsReason) {
  const auto got = explain_offline(folder_, "mlp");
  ASSERT_TRUE(got) << got.error().what;
  ASSERT_EQ(got->at("jobs").size(), 1u);
  EXPECT_EQ(got->at("jobs")[0].at("decisions").size(), 2u);
  const auto words = explain_text(*got);
  EXPECT_THAT(words, HasSubstr("0.51 s  0 → 1 slots  share: its share"));
  EXPECT_THAT(words, HasSubstr("1.51 s  1 → 0 slots  smaller_drop: softmax gains more"));
  EXPECT_THAT(words, HasSubstr("loss 2.3000, remaining 1.00"));
  // What people asked stands between the decisions, where it was asked.
  EXPECT_EQ(got->at("jobs")[0].at("asked").size(), 1u);
  EXPECT_LT(words.find("0 → 1 slots"), words.find("0.90 s  asked: paused; it was running"));
  EXPECT_LT(words.find("asked: paused"), words.find("1 → 0 slots"));
}

TEST_F(ExplainTest, UnknownJobNamesTheNearest) {
  EXPECT_EQ(explain_offline(folder_, "")->at("jobs").size(), 2u);
  const auto got = explain_offline(folder_, "sotfmax");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::kNotFound);
  EXPECT_THAT(got.error().what, HasSubstr("did you mean 'softmax'?"));
  EXPECT_THAT(explain_offline(folder_ + "/none", "").error().what, HasSubstr("the output folder of a run?"));
}

TEST_F(ExplainTest, OfOneLiveJobItSaysWhatItsNextSlotIsWorthAndWhatWouldChangeThat) {
  const auto words =
      explain_text(nlohmann::json::parse(R"({"jobs":[{"job":"a","state":"running","target":{"sentence":"loss <= 0.3: reached by 60 s with probability 0.71"},
    "speed_up":{"now":{"slots":2,"steps_per_s":190.4,"efficiency":0.97},"next":{"slots":3,"steps_per_s":270},"kappa":0.05,"kappa_measured":false,"staleness":1.5},
    "remaining":{"fitted":0.25,"past_jobs":0.31,"past_deviation":0.1,"jobs_of_model":14,"total_steps":3000,"declared":false},
    "outcome":{"steps":100,"predicted_drop":0.02,"actual_drop":0.015},"next_slot":{"gain_per_s":0.004,"index":0.7,"price":0.1},
    "holders":[{"job":"b","slots":3,"index":0.9}],"would_change":[{"what":"job_ended","sentence":"if job b ended it would have 5 slots"}]}]})"));
  for (const char* part :
       {"target: loss <= 0.3: reached by 60 s with probability 0.71", "190.4 steps/s with 2 slots, 270 with one more (contention 0.05, not measured yet",
        "0.25 by its own reports, 0.31 ± 0.10 by 14 past jobs of its model; 3000 steps in all (not declared: an estimate)",
        "a drop of 0.02 over 100 steps; it fell by 0.015", "its next slot: 0.004 of its loss a second; index 0.7, price 0.1", "held by: b (3, index 0.9)",
        "more: if job b ended it would have 5 slots"})
    EXPECT_THAT(words, HasSubstr(part));
}

TEST(Explain, WhatPastJobsTaughtIsALineAModel) {
  nlohmann::json sum = nlohmann::json::array();
  for (int i = 0; i <= 64; ++i) sum.push_back(2.0 * (64 - i) / 64);
  const nlohmann::json answer = {{"prior", {{"families", {{"mlp", {{"jobs", 2}, {"sum", sum}, {"squares", sum}, {"steps", {300, 100, 200}}}}}}}}};
  EXPECT_THAT(prior_text(answer), testing::ContainsRegex("mlp +2 +0\\.875 +0\\.750 +0\\.500 +0\\.250 +200"));
  for (const char* text : {"{}", R"({"prior":{"families":{"x":1}}})", R"({"prior":{"families":{"x":{"jobs":0,"sum":[],"steps":[]}}}})"})
    EXPECT_THAT(prior_text(nlohmann::json::parse(text)), HasSubstr("not readable"));
}

TEST_F(ExplainTest, AnswersOfAnyShapeAreNoCrash) {
  for (const char* text :
       {"{}", R"({"jobs":1})", R"({"jobs":[1,{}]})", R"({"jobs":[{"job":1,"decisions":[null,{"before":"x"}]}]})",
        R"({"jobs":[{"speed_up":{"now":1,"next":2,"kappa_measured":"x"},"remaining":{"declared":"no"},"next_slot":[],"holders":[1],"target":7}]})"})
    EXPECT_FALSE(explain_text(nlohmann::json::parse(text)).empty());
}

}  // namespace
}  // namespace sluice::cli
