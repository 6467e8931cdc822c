#include "cli/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "cli/report/page.h"

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-report-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    write("run.json", R"({"version":1,"policy":"slaq","jobs":[{"name":"m","model":"softmax","submit_after_s":2}]})");
    write("losses.csv", "job,seconds,step,examples,loss,slots\nm,0.5,1,128,2.3,1\nm,1.5,2,256,1.1,1\n");
    write("decisions.jsonl", R"({"kind":"round","decision":1,"time_ms":1,"changes":[{"job":"m","before":0,"after":1,"sentence":"its share"}],"moves":[]})"
                             "\n");
    write("summary.json", R"({"version":1,"policy":"slaq","wall_seconds":3,"jobs":[{"job":"m","state":"done","submitted_seconds":2}]})");
  }
  ~ReportTest() override { fs::remove_all(folder_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_ + "/" + name) << text; }
  [[nodiscard]] std::string page() const {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/report.html").rdbuf();
    return text.str();
  }
  [[nodiscard]] Result<WrittenReport> report() const { return write_report({folder_}, default_report({folder_})); }
  std::string folder_;
};

TEST_F(ReportTest, IsWrittenAndTakesThePlaceOfAnOlderOne) {
  for (int i = 0; i < 2; ++i) {
    const auto got = report();
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_TRUE(got->notes.empty());
    EXPECT_EQ(got->bytes, page().size());
    EXPECT_THAT(page(), HasSubstr("its share"));
    EXPECT_FALSE(fs::exists(folder_ + "/report.html.part"));
  }
}

TEST_F(ReportTest, NeverWritesOverAnythingElse) {
  for (const char* name : {"/summary.json", "/"}) {
    const auto got = write_report({folder_}, folder_ + name);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kBadConfig);
    EXPECT_THAT(got.error().what, HasSubstr("is no report; choose another file with --out"));
  }
  const auto nowhere = write_report({folder_}, folder_ + "/none/report.html");
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::kIo);
  EXPECT_THAT(nowhere.error().what, HasSubstr("none/report.html: can't be written: "));
  EXPECT_THAT(nowhere.error().what, HasSubstr("No such file"));
}

TEST_F(ReportTest, WhateverFileIsMissingOrBrokenIsNamedAndTheRestIsShown) {
  for (const char* name : {"run.json", "losses.csv", "decisions.jsonl", "summary.json"}) {
    std::ostringstream before;
    before << std::ifstream(folder_ + "/" + name).rdbuf();
    for (const bool is_gone : {true, false}) {
      is_gone ? (void)fs::remove(folder_ + "/" + name) : write(name, "{\"jobs\":[1,{}],\"x\n\n");
      const auto got = report();
      ASSERT_TRUE(got) << got.error().what;
      ASSERT_EQ(got->notes.size(), 1u) << name;
      EXPECT_THAT(got->notes[0], HasSubstr(name));
      EXPECT_THAT(page(), HasSubstr(R"("jobs":["m"])"));
    }
    write(name, before.str());
  }
  EXPECT_TRUE(report()->notes.empty());
}

TEST_F(ReportTest, AJobNotYetInASummaryBeginsWhenItWasToBeSubmitted) {
  fs::remove(folder_ + "/summary.json");
  ASSERT_TRUE(report());
  EXPECT_THAT(page(), HasSubstr(R"("t":[2.5,3.5])"));
  EXPECT_THAT(page(), HasSubstr(R"("state":"unfinished")"));
}

TEST_F(ReportTest, AFolderWithoutARunIsAnError) {
  fs::create_directory(folder_ + "/empty");
  for (const char* name : {"/empty", "/none", "/run.json"}) {
    const auto got = write_report({folder_ + name}, folder_ + "/x.html");
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Errc::kNotFound);
    EXPECT_THAT(got.error().what, HasSubstr("is it the output folder of a run?"));
    EXPECT_FALSE(fs::exists(folder_ + "/x.html"));
  }
}

TEST(DefaultReport, StandsInTheFirstFolder) {
  EXPECT_EQ(default_report({"out/A"}), "out/A/report.html");
  EXPECT_EQ(default_report({"out/A/", "out/B"}), "out/A/comparison.html");
}

}  // namespace
}  // namespace sluice::cli
