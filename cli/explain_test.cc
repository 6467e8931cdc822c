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

TEST_F(ExplainTest, AnswersOfAnyShapeAreNoCrash) {
  for (const char* text : {"{}", R"({"jobs":1})", R"({"jobs":[1,{}]})", R"({"jobs":[{"job":1,"decisions":[null,{"before":"x"}]}]})"})
    EXPECT_FALSE(explain_text(nlohmann::json::parse(text)).empty());
}

}  // namespace
}  // namespace sluice::cli
