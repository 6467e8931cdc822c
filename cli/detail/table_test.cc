#include "cli/detail/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/detail/progress.h"
#include "cli/detail/summary.h"

namespace sluice::cli::detail {
namespace {
using testing::HasSubstr;

TEST(Table, ColumnsLineUpByCharactersNotBytes) {
  Table table({{"NAME", Align::kLeft, 5}, {"N"}});
  table.add({"äöü", "1"});
  table.add({"abcdefgh", "20"});
  EXPECT_EQ(table.text(), "NAME    N\näöü     1\nabcd…  20\n");
}

TEST(Table, NumbersForPeople) {
  EXPECT_EQ(loss_text(0.34211), "0.3421");
  EXPECT_EQ(loss_text(NAN), "-");
  EXPECT_EQ(loss_text(231000), "2.31e+05");
  EXPECT_EQ(rate_text(123), "123");
  EXPECT_EQ(rate_text(45600), "45.6 k");
  EXPECT_EQ(seconds_text(-1), "-");
  EXPECT_EQ(percent_text(0.873), "87.3 %");
  EXPECT_EQ(bar(0.5, 4), "██··");
  EXPECT_EQ(bar(7, 2), "██");
}

TEST(Summary, TheVerdictIsTheWorstOfTheJobs) {
  const auto status = [](const char* text) {
    const auto ended = verdict(Json::parse(text));
    return ended ? 0 : exit_code(ended.error().code);
  };
  EXPECT_EQ(status(R"({"jobs":[{"job":"a","state":"done"}]})"), 0);
  EXPECT_EQ(status(R"({"jobs":[{"job":"a","state":"done"},{"job":"b","state":"failed","code":"job_failed"}]})"), 1);
  EXPECT_EQ(status(R"({"jobs":[{"job":"b","state":"failed","code":"bad_data"}]})"), 3);
  EXPECT_EQ(status(R"({"jobs":[{"job":"b","state":"failed","code":"bad_data"},{"job":"c","state":"failed"}]})"), 1);
  EXPECT_EQ(status(R"({"jobs":[{"job":"b","state":"running"}]})"), 8);
}

TEST(Summary, TableSaysWhyAJobFailed) {
  const auto text = summary_table(Json::parse(
      R"({"jobs":[{"job":"a","state":"done","first_loss":2.3,"final_loss":0.3,"metrics":{"accuracy":0.87},"seconds_to_90":8.1,"slot_seconds":11.9,"moves_in":7},
                  {"job":"b","state":"failed","reason":"model 'boom' threw: no","seconds_to_90":null}]})"));
  EXPECT_THAT(text, HasSubstr("HELD-OUT accuracy"));
  EXPECT_THAT(text, HasSubstr("87.0 %"));
  EXPECT_THAT(text, HasSubstr("8.1 s"));
  EXPECT_THAT(text, HasSubstr("b failed: model 'boom' threw: no"));
}

/// A metric that is no share is no per cent; where jobs have several, each cell says its own.
TEST(Summary, MetricsOfRegressionAreNumbers) {
  const char* const regression = R"({"job":"b","state":"done","metrics":{"mse":12345.678}})";
  EXPECT_EQ(metric_text(Json::parse(regression)), "1.23e+04 mse");
  EXPECT_EQ(metric_text(Json::parse(R"({"metrics":{"mse":0.01}})")), "0.0100 mse");
  EXPECT_THAT(summary_table(Json::parse(std::string(R"({"jobs":[)") + regression + "]}")), HasSubstr("HELD-OUT mse"));
  const auto both = summary_table(Json::parse(std::string(R"({"jobs":[{"job":"a","state":"done","metrics":{"accuracy":0.5}},)") + regression + "]}"));
  EXPECT_THAT(both, HasSubstr("HELD OUT "));
  EXPECT_THAT(both, HasSubstr("50.0 %"));
  EXPECT_THAT(both, HasSubstr("1.23e+04 mse"));
}

TEST(Progress, TableFitsTheTerminal) {
  Json ps = {{"jobs", Json::array()}};
  for (int i = 0; i < 30; ++i)
    ps["jobs"].push_back({{"job", "job-" + std::to_string(i)}, {"state", "running"}, {"slots", 1}, {"last_decision", std::string(200, 'x')}});
  const auto text = live_table(ps, 80, 10, /*colours=*/false);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 12) << "a title, ten jobs, and how many more";
  EXPECT_THAT(text, HasSubstr("… and 20 more jobs"));
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) EXPECT_LE(shown_width(text.substr(begin, end - begin)), 80u);
  EXPECT_THAT(progress_line(ps, 3), HasSubstr("30 jobs: 30 running"));
}

TEST(Progress, OneSentenceAChange) {
  const auto got = sentences(
      Json::parse(R"({"changes":[{"job":"a","before":0,"after":2,"sentence":"gains most"},{"job":"b","before":1,"after":1,"sentence":"no change"}]})"));
  EXPECT_THAT(got, testing::ElementsAre("a 0 → 2 slots: gains most"));
  EXPECT_TRUE(sentences(Json::parse(R"({"kind":"timing"})")).empty());
}

}  // namespace
}  // namespace sluice::cli::detail
