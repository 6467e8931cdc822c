#include "cli/report/study_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "cli/report/page.h"
#include "cli/simulate.h"

namespace sluice::cli::report {
namespace {
using testing::HasSubstr;
using testing::Not;

sim::Study small_study() {
  sim::Study study;
  study.scenario.policies = {"fair", "sluice"};
  study.scenario.jobs = 4, study.scenario.slots = 8, study.scenario.seed_last = 2;
  study.curves = 3;
  for (const std::string& policy : study.scenario.policies)
    for (const std::uint64_t seed : {1U, 2U}) {
      sim::Outcome one;
      one.policy = policy, one.seed = seed, one.jobs = 4;
      one.loss_seconds_per_job = policy == "fair" ? 10 : 5 + static_cast<double>(seed);
      if (seed == 1) {
        for (int i = 0; i < 2000; ++i)
          one.samples.push_back({.seconds = i * 3.0,
                                 .active = 4,
                                 .normalized_loss = 1.0 / (i + 1),
                                 .price = 0.5,
                                 .moves = static_cast<std::uint64_t>(i),
                                 .high = 5,
                                 .middle = 2,
                                 .low = 1});
        for (int i = 1; i <= 1000; ++i) one.to_90.push_back(i), one.completion.push_back(2.0 * i), one.prediction_errors.push_back(i / 1000.0);
      }
      study.outcomes.push_back(std::move(one));
    }
  return study;
}

TEST(StudyDocument, IsThinnedAndKeepsTheEndsAndTheMeans) {
  const auto data = study_document(small_study());
  ASSERT_EQ(data["policies"].size(), 2U);
  const auto& sluice = data["policies"][1];
  EXPECT_EQ(sluice["name"], "sluice");
  EXPECT_EQ(sluice["loss_seconds"], nlohmann::json({6.0, 7.0}));
  EXPECT_DOUBLE_EQ(sluice["means"]["loss_seconds_per_job"], 6.5);
  EXPECT_EQ(data["measures"].size(), sluice["means"].size());
  for (const char* key : {"t", "loss", "active", "price", "moves", "high", "middle", "low"}) {
    EXPECT_GE(sluice["series"][key].size(), kStudyTimes / 2) << key;
    EXPECT_LE(sluice["series"][key].size(), kStudyTimes + 1) << key;
  }
  EXPECT_EQ(sluice["series"]["moves"].back(), 1999);
  EXPECT_EQ(sluice["series"]["high"].front(), 5);
  EXPECT_EQ(sluice["to_90"].size(), kStudyShares);
  EXPECT_EQ(sluice["to_90"].front(), 1);
  EXPECT_EQ(sluice["completion"].back(), 2000);
}

TEST(StudyDocument, AStudyWithoutSeriesIsStillAPage) {
  sim::Study study;
  study.scenario.policies = {"fair"};
  const std::string text = page(study_document(study), study_parts());
  EXPECT_TRUE(text.starts_with(kPageBegin));
  EXPECT_TRUE(text.ends_with("</html>\n"));
}

TEST(StudyDocument, ItsPageLoadsNothingAndTakesNoOtherFilesPlace) {
  const std::string text = page(study_document(small_study()), study_parts());
  for (const char* mark : {"{{", "src=\"", "href=\"", "url(http", "@import", "fetch(", "innerHTML", "eval("}) EXPECT_THAT(text, Not(HasSubstr(mark)));
  EXPECT_THAT(text, HasSubstr("Average normalised loss over time"));
  EXPECT_LT(text.size(), 200'000U);
  const std::string path = (std::filesystem::path(testing::TempDir()) / "study.html").string();
  std::filesystem::remove(path);
  ASSERT_TRUE(write_study_page(small_study(), path));
  EXPECT_TRUE(write_study_page(small_study(), path)) << "an older page";
  std::ofstream(path) << "my notes";
  EXPECT_EQ(write_study_page(small_study(), path).error().code, Errc::kBadConfig);
  EXPECT_EQ(write_study_page(small_study(), "/nowhere/at/all.html").error().code, Errc::kIo);
}

}  // namespace
}  // namespace sluice::cli::report
