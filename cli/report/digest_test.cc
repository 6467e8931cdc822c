#include "cli/report/digest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli::report {
namespace {
using nlohmann::json;
using testing::ElementsAre;

/// A round that gives worker slot 0 from one job to another. time_ms since the manager's start.
json round(std::uint64_t decision, double time_ms, const json& from, const json& to) {
  json changes = json::array();
  if (from.is_string()) changes.push_back({{"job", from}, {"before", 1}, {"after", 0}, {"reason", "smaller_drop"}, {"sentence", "others gain more"}});
  if (to.is_string()) {
    changes.push_back({{"job", to},
                       {"before", 0},
                       {"after", 1},
                       {"reason", "largest_drop"},
                       {"sentence", "gains most"},
                       {"loss", 1.25},
                       {"drop_with", 0.5},
                       {"refused", {{{"job", "third"}, {"reason", "smaller_drop"}, {"index", 0.1}}}}});
  }
  return {{"kind", "round"},
          {"decision", decision},
          {"time_ms", time_ms},
          {"trigger", "timer"},
          {"slots", 1},
          {"changes", changes},
          {"moves", {{{"worker", "w"}, {"slot", 0}, {"from", from}, {"to", to}}}},
          {"refused", json::array()}};
}

TEST(Digest, TimesCountFromTheFirstSubmission) {
  auto first = round(1, 60'500, nullptr, "a");  // the manager had waited a minute for somebody to submit
  first["view"] = {{"jobs", {{"1", {{"waited_ns", 500'000'000}}}, {"2", {{"waited_ns", 1'000}}}}}};
  const auto read = [&] {
    DigestReader reader(100'000);
    reader.add(first.dump());
    reader.add(round(2, 62'000, "a", "b").dump());
    return reader.take();
  };
  EXPECT_NEAR(read().slots.at(0).seconds, 0.5, 1e-9) << "a line of before";
  first["view"] = {{"now_ns", 7'500'000'000}, {"jobs", {{"1", {{"waits_since_ns", 7'000'000'000}}}, {"2", {{"waits_since_ns", 7'499'000'000}}}}}};
  const Digest got = read();
  ASSERT_EQ(got.slots.size(), 2u);
  EXPECT_NEAR(got.slots[0].seconds, 0.5, 1e-9);
  EXPECT_NEAR(got.slots[1].seconds, 2, 1e-9);
  EXPECT_NEAR(got.end_seconds, 2, 1e-9);
  EXPECT_EQ(got.slots[0].from, kIdle);
  EXPECT_EQ(got.jobs.at(got.slots[1].from), "a");
  EXPECT_EQ(got.jobs.at(got.slots[1].to), "b");
}

TEST(Digest, ADecisionHasWhyWhatItCostAndWhatCameOfIt) {
  DigestReader reader(100'000);
  reader.add(round(7, 0, nullptr, "a").dump());
  reader.add(R"({"kind":"timing","decision":7,"decide_ms":1})");
  reader.add(R"({"kind":"moved","decision":7,"worker":"w","slot":0,"from":null,"to":"a","total_ms":1.5,"stall_ms":0.5,"batch_wait_ms":0.25,"cold":true})");
  reader.add(R"({"kind":"outcome","decision":7,"jobs":[{"job":"a","steps":12,"predicted_drop":0.1,"actual_drop":-0.2}]})");
  const Digest got = reader.take();
  ASSERT_EQ(got.decisions.size(), 1u);
  const json& decision = got.decisions[0];
  EXPECT_EQ(decision["id"], 7);
  EXPECT_EQ(decision["changes"][0]["sentence"], "gains most");
  EXPECT_EQ(decision["changes"][0]["with"], 0.5);
  EXPECT_EQ(got.jobs.at(decision["changes"][0]["refused"][0]["job"]), "third");
  EXPECT_EQ(decision["moved"][0]["total_ms"], 1.5);
  EXPECT_EQ(decision["moved"][0]["cold"], true);
  EXPECT_EQ(decision["outcomes"][0]["actual"], -0.2);
  ASSERT_EQ(got.outcomes.size(), 1u);
  EXPECT_EQ(got.outcomes[0].predicted, 0.1);
  EXPECT_EQ(got.moved_total, 1u);
}

TEST(Digest, OfManyDecisionsAnEvenChoiceIsKeptAndAllAreCounted) {
  for (const std::size_t bytes_max : {1u, 10'000u, 100'000u, 1'000'000u}) {
    DigestReader reader(bytes_max);
    constexpr std::uint64_t kCount = 5000;
    for (std::uint64_t i = 0; i < kCount; ++i)
      reader.add(round(i + 1, static_cast<double>(i), i == 0 ? json(nullptr) : json(i % 2 ? "a" : "b"), i % 2 ? "b" : "a").dump());
    const Digest got = reader.take();
    EXPECT_EQ(got.decisions_total, kCount);
    EXPECT_EQ(got.slots.size(), kCount) << "who has a slot is known throughout";
    ASSERT_FALSE(got.decisions.empty());
    std::size_t bytes = 0;
    for (const json& one : got.decisions) bytes += one.dump().size();
    EXPECT_TRUE(bytes <= bytes_max || got.decisions.size() == 1) << bytes;
    EXPECT_GE(bytes, bytes_max / 5);
    EXPECT_EQ(got.decisions[0]["id"], 1);
    for (std::size_t i = 2; i < got.decisions.size(); ++i) {
      EXPECT_EQ(got.decisions[i]["id"].get<int>() - got.decisions[i - 1]["id"].get<int>(), got.decisions[1]["id"].get<int>() - 1) << "evenly";
    }
  }
}

TEST(Digest, AManagerThatWasStartedAgainCountsAnew) {
  DigestReader reader(100'000);
  reader.add(round(1, 1000, nullptr, "a").dump());
  reader.add(round(2, 9000, "a", "b").dump());
  reader.add(round(3, 20, "b", "a").dump());
  reader.add(round(4, 1020, "a", "b").dump());
  const Digest got = reader.take();
  EXPECT_EQ(got.restarts, 1u);
  std::vector<double> seconds;
  for (const auto& event : got.slots) seconds.push_back(event.seconds);
  EXPECT_THAT(seconds, ElementsAre(0, 8, 8, 9));
}

TEST(Digest, LinesOfAnyShapeAreNoCrash) {
  DigestReader reader(100'000);
  const std::vector<std::string> lines = {
      "",
      "{\"kind\":\"rou",
      "[]",
      "7",
      "{}",
      R"({"kind":7})",
      R"({"kind":"round"})",
      R"({"kind":"round","changes":7,"moves":[7,null,{}],"refused":{},"view":7})",
      R"({"kind":"round","decision":-1,"time_ms":"x","slots":-3,"changes":[{"job":7,"before":-1,"after":1e300,"refused":[1]}],"moves":[{"slot":1e300,"to":"a"}],"refused":[null]})",
      R"({"kind":"moved"})",
      R"({"kind":"moved","decision":1e99,"to":7,"cold":"x"})",
      R"({"kind":"outcome","jobs":[1,{}]})",
      R"({"kind":"outcome","jobs":{}})",
      "\xff\xfe"};
  for (const auto& line : lines) reader.add(line);
  const Digest got = reader.take();
  EXPECT_EQ(got.bad_lines, 4u);
  EXPECT_EQ(got.bad_line_first, 2u);
  EXPECT_EQ(got.decisions_total, 3u);
  for (const auto& event : got.slots) EXPECT_TRUE(event.to == kIdle || event.to < got.jobs.size());
}

}  // namespace
}  // namespace sluice::cli::report
