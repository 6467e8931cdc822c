#include "cli/logs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class LogsTest : public testing::Test {
 protected:
  LogsTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-logs-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~LogsTest() override { fs::remove_all(folder_); }
  void write(const std::string& role, const std::string& lines, bool anew = false) {
    std::ofstream(folder_ + "/" + role + ".log", anew ? std::ios::trunc : std::ios::app) << lines;
  }
  static std::vector<std::string> messages(const std::vector<LogRecord>& records) {
    std::vector<std::string> out;
    for (const auto& record : records) out.push_back(record.role + ": " + record.message);
    return out;
  }
  std::string folder_;
};

TEST_F(LogsTest, RolesAreMergedByTimeAndEachStaysInItsOrder) {
  write("manager", "2026-11-24 10:00:00.100 manager info: one\n2026-11-24 10:00:00.300 manager info: three\n2026-11-24 10:00:00.200 manager info: late\n");
  write("server-1", "2026-11-24 10:00:00.200 server-1 info: two\n2026-11-24 10:00:00.400 server-1 warning: four\n");
  auto files = log_files(folder_, {});
  ASSERT_TRUE(files) << files.error().what;
  EXPECT_THAT(messages(next_records(*files, log::Level::kDebug)),
              ElementsAre("manager: one", "server-1: two", "manager: three", "manager: late", "server-1: four"));
  EXPECT_TRUE(next_records(*files, log::Level::kDebug).empty()) << "only what is new";
  write("manager", "2026-11-24 10:00:01.000 manager info: fi");
  EXPECT_TRUE(next_records(*files, log::Level::kDebug).empty()) << "a line without its end waits";
  write("manager", "ve\n");
  EXPECT_THAT(messages(next_records(*files, log::Level::kDebug)), ElementsAre("manager: five"));
  write("manager", "2026-11-24 10:00:02.000 manager info: anew\n", /*anew=*/true);
  EXPECT_THAT(messages(next_records(*files, log::Level::kDebug)), ElementsAre("manager: anew"));
}

TEST_F(LogsTest, LinesThatBelongToAMessageGoWithIt) {
  write("worker",
        "loader: something odd\n2026-11-24 10:00:00.100 worker debug: quiet\n  still quiet\n2026-11-24 10:00:00.200 worker error: error: first\nsecond: x\n");
  auto files = log_files(folder_, {"worker"});
  const auto all = next_records(*files, log::Level::kDebug);
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].time, "");
  EXPECT_EQ(all[1].message, "quiet\n  still quiet");
  EXPECT_EQ(all[2].message, "error: first\nsecond: x");
  EXPECT_EQ(all[2].text, "2026-11-24 10:00:00.200 worker error: error: first\nsecond: x\n");
  files = log_files(folder_, {});
  EXPECT_THAT(messages(next_records(*files, log::Level::kWarn)), ElementsAre("worker: error: first\nsecond: x"));
  const auto json = nlohmann::json::parse(to_json(all[2]));
  EXPECT_EQ(json, (nlohmann::json{{"version", 1}, {"time", "2026-11-24 10:00:00.200"}, {"role", "worker"}, {"level", "error"}, {"message", all[2].message}}));
}

TEST_F(LogsTest, LogsOfJsonLinesAreReadToo) {
  write("manager", R"({"time":"2026-11-24T10:00:00.200+0000","level":"warning","role":"manager","message":"a \"b\""})"
                   "\n");
  write("server-1", "2026-11-24 10:00:00.100 server-1 info: before\n");
  auto files = log_files(folder_, {});
  const auto all = next_records(*files, log::Level::kInfo);
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[1].message, "a \"b\"");
  EXPECT_EQ(all[1].level, log::Level::kWarn);
}

TEST_F(LogsTest, UnknownNamesAnswerWithTheKnownOnes) {
  EXPECT_THAT(log_files(folder_, {}).error().what, HasSubstr("there are no logs of roles here"));
  EXPECT_THAT(log_files(folder_ + "/none", {}).error().what, HasSubstr("there are no logs of roles here"));
  for (const char* role : {"manager", "server-1", "server-2", "worker"}) write(role, "");
  const auto unknown = log_files(folder_, {"manger"});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::kNotFound);
  EXPECT_THAT(unknown.error().what, HasSubstr("did you mean 'manager'?"));
  EXPECT_THAT(unknown.error().what, HasSubstr("server-1, server-2, worker"));
  const auto servers = log_files(folder_, {"server"});
  ASSERT_TRUE(servers);
  ASSERT_EQ(servers->size(), 2U);
  EXPECT_EQ((*servers)[1].role(), "server-2");
  EXPECT_EQ(log_files(folder_, {"worker", "server-2"})->size(), 2U);
  EXPECT_THAT(level_from("wrn").error().what, HasSubstr("did you mean 'warn'?"));
  EXPECT_EQ(level_from("warning"), log::Level::kWarn);
}

TEST_F(LogsTest, BytesOfAnyKindAreNoCrash) {
  write("worker", std::string("\0\xff\n", 3) +
                      "{\"time\":3}\n{\"time\"\n2026-11-24 10:00:00.100\n2026-11-24 10:00:00.100 worker\n2026-11-24 10:00:00.100 worker x: y\n\n");
  auto files = log_files(folder_, {});
  for (const auto& record : next_records(*files, log::Level::kDebug)) EXPECT_FALSE(to_json(record).empty());
}

}  // namespace
}  // namespace sluice::cli
