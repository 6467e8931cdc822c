#include "manager/decision_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {

using nlohmann::json;

json round_line(int decision, const std::string& job, int after) {
  return {{"version", 1},
          {"kind", "round"},
          {"decision", decision},
          {"round", decision},
          {"time_ms", 0.5},
          {"policy", "fair"},
          {"changes", {{{"job", job}, {"after", after}}}}};
}

class DecisionLogTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder); }
  void TearDown() override { std::filesystem::remove_all(folder); }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> out;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("sluice-log-{}", ::getpid());
  const std::string path = (folder / "decisions.jsonl").string();
};

TEST_F(DecisionLogTest, TheIndexHoldsTheNewestEntriesOfEachJob) {
  DecisionLog log;
  ASSERT_TRUE(log.open(path));
  for (int i = 1; i <= 20; ++i) ASSERT_TRUE(log.write(round_line(i, i % 2 == 0 ? "a" : "b", i)));
  ASSERT_EQ(log.entries("a").size(), DecisionLog::kEntriesPerJob);
  EXPECT_EQ(log.entries("a").back()["after"], 20);
  EXPECT_EQ(log.entries("a").back()["decision"], 20);
  EXPECT_EQ(log.entries("b").back()["after"], 19);
  EXPECT_TRUE(log.entries("c").empty());
}

TEST_F(DecisionLogTest, ALineIsInTheFileWhenWriteReturns) {
  DecisionLog log;
  ASSERT_TRUE(log.open(path));
  ASSERT_TRUE(log.write(round_line(1, "a", 1)));
  ASSERT_EQ(lines().size(), 1U);
  EXPECT_EQ(json::parse(lines()[0]), round_line(1, "a", 1));
}

TEST_F(DecisionLogTest, ALaterManagerGoesOnInTheFileAndDropsACutLine) {
  {
    DecisionLog log;
    ASSERT_TRUE(log.open(path));
    ASSERT_TRUE(log.write(round_line(4, "a", 2)));
  }
  std::ofstream(path, std::ios::app) << R"({"kind":"rou)";
  DecisionLog log;
  ASSERT_TRUE(log.open(path));
  EXPECT_EQ(log.last_decision(), 4U);
  EXPECT_EQ(log.entries("a").size(), 1U);
  ASSERT_TRUE(log.write(round_line(5, "a", 1)));
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_EQ(json::parse(lines()[1])["decision"], 5);
}

TEST_F(DecisionLogTest, AFullDiskIsNamedAndTheFileStaysWhole) {
  DecisionLog log;
  ASSERT_TRUE(log.open(path));
  ASSERT_TRUE(log.write(round_line(1, "a", 1)));
  // A limit on the size of files makes write() stop short as a full disk does.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit tight = before;
  tight.rlim_cur = 256;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  const auto refused = log.write(round_line(2, std::string(400, 'x'), 1));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kIo);
  EXPECT_NE(refused.error().what.find(path), std::string::npos);
  EXPECT_EQ(lines().size(), 1U);
  ASSERT_TRUE(log.write(round_line(3, "a", 1)));
  ASSERT_EQ(lines().size(), 2U);
  EXPECT_EQ(json::parse(lines()[1])["decision"], 3);
}

}  // namespace
}  // namespace sluice::manager
