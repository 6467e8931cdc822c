/// Recorded runs decided again: fresh ones, and those of tests/data/decisions, which SLUICE_RECORD_DECISIONS=1 records anew (docs/manager.md).
#include "manager/replay.h"

#include <gmock/gmock.h>

#include <cstdlib>

#include "manager/fake_cluster_test.h"

namespace sluice::manager::test {
namespace {
using ::testing::HasSubstr;

std::filesystem::path goldens() { return std::filesystem::path(SLUICE_SOURCE_DIR) / "tests/data/decisions"; }

/// A small run with what makes rounds hard to repeat: jobs that come and go, orders, a lost worker. `group`: all but b are variants of one model, of
/// which the best counts.
void run_small(Cluster& c, const std::string& policy, bool group = false) {
  const auto submit = [&](const std::vector<std::string>& names) {
    json jobs = json::array();
    for (const std::string& name : names) {
      proto::JobSpec one = spec(name);
      if (group && name != "b") one.group = "variants", one.objective = proto::Objective::kBest;
      jobs.push_back(json::parse(proto::to_json(one)));
    }
    ASSERT_FALSE(c.call("submit", {{"jobs", jobs}}).contains("refused"));
  };
  c.options.policy = policy;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  c.worker("w2", 2);
  for (std::uint64_t j = 1; j <= 5; ++j) {
    c.world.jobs[JobId{j}].steps_total = 3000 + 1000 * j;
    c.world.jobs[JobId{j}].loss = [j](double step) { return 2 / (1 + step / (200.0 * static_cast<double>(j))) + 0.1; };
  }
  submit({"a", "b", "c"});
  c.run(1.5);
  c.call("pause", {{"jobs", {"b"}}});
  submit({"d", "e"});
  c.run(1);
  c.call("resume", {{"jobs", {"b"}}});
  c.call("set", {{"job", "c"}, {"values", {{"weight", 3}}}});
  c.executor.kill("w2");
  ASSERT_TRUE(c.run_to_end(100));
}

void write(const std::string& path, const std::vector<std::string>& lines, const std::string& end = "\n") {
  std::ofstream out(path);
  for (std::size_t i = 0; i < lines.size(); ++i) out << lines[i] << (i + 1 < lines.size() ? "\n" : end);
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

TEST(Replay, EveryPolicysRunComesOutByteByByte) {
  for (const std::string& policy : builtin_policies().names()) {
    SCOPED_TRACE(policy);
    Cluster c(3);
    run_small(c, policy);
    const auto again = replay(c.folder + "/decisions.jsonl", "same");
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_FALSE(again->first) << again->first->line << " " << again->first->where << ": " << again->first->recorded << " / " << again->first->again;
    EXPECT_GT(again->rounds, 8U);
    EXPECT_EQ(again->differing_rounds, 0U);
    EXPECT_EQ(again->jobs.size(), 5U);
  }
}

TEST(Replay, ARestartedManagersLogIsReplayedAcrossTheRestart) {
  Cluster c;
  c.start();
  c.server("s1");
  c.worker("w1", 2);
  c.submit({"a", "b", "c"});
  c.run(3);
  c.executor.kill("manager");
  c.run(2);
  c.start();
  ASSERT_TRUE(c.run_to_end(100));
  const auto again = replay(c.folder + "/decisions.jsonl", "same");
  ASSERT_TRUE(again) << again.error().what;
  EXPECT_FALSE(again->first) << again->first->line << " " << again->first->where << ": " << again->first->recorded << " / " << again->first->again;
}

TEST(Replay, AnotherPolicyIsCountedAndADecisionThatWasChangedIsFound) {
  Cluster c(5);
  run_small(c, "fair");
  const std::string path = c.folder + "/decisions.jsonl";
  const auto other = replay(path, "slaq");
  ASSERT_TRUE(other) << other.error().what;
  EXPECT_FALSE(other->first);
  EXPECT_GT(other->differing_rounds, 0U);
  EXPECT_GT(other->slots_changed, 0U);
  EXPECT_THAT(other->recorded_policies, ::testing::ElementsAre(HasSubstr("fair ")));
  double recorded = 0;
  for (const auto& [id, job] : other->jobs) recorded += job.recorded_slot_seconds;
  EXPECT_GT(recorded, other->seconds) << "more than one slot was held all the time";
  EXPECT_LE(recorded, 4 * other->seconds);
  EXPECT_EQ(replay(path, "sqal").error().code, Errc::kBadConfig);

  auto lines = lines_of(path);
  std::size_t round = 0;
  while (json::parse(lines[round])["kind"] != "round" ||
         json::parse(lines[round])["changes"][0]["sentence"].get<std::string>().find("share") == std::string::npos)
    ++round;
  json altered = json::parse(lines[round]);
  altered["changes"][0]["sentence"] = "because I say so";
  lines[round] = altered.dump();
  write(path, lines);
  const auto found = replay(path, "same");
  ASSERT_TRUE(found) << found.error().what;
  ASSERT_TRUE(found->first);
  EXPECT_EQ(found->first->line, round + 1);
  EXPECT_EQ(found->first->where, "/changes/0/sentence");
  EXPECT_EQ(found->first->recorded, "\"because I say so\"");
}

TEST(Replay, ADamagedOrCutFileIsNamedWithItsLine) {
  Cluster c(6);
  run_small(c, "fair");
  const std::string path = c.folder + "/decisions.jsonl", bad = c.folder + "/bad.jsonl";
  const auto lines = lines_of(path);
  const auto error_of = [&](const std::vector<std::string>& with, const std::string& end = "\n") {
    write(bad, with, end);
    const auto got = replay(bad, "same");
    return got ? std::string("no error") : std::string(name_of(got.error().code)) + " " + got.error().what;
  };
  auto with = lines;
  with[4] = with[4].substr(0, with[4].size() / 2);
  EXPECT_THAT(error_of(with), HasSubstr("bad_data " + bad + ":5: not a JSON object"));
  EXPECT_THAT(error_of(lines, ""), HasSubstr(":" + std::to_string(lines.size()) + ": the line is cut"));
  std::vector<std::string> rounds;
  for (const auto& line : lines)
    if (json::parse(line)["kind"] == "round") rounds.push_back(line);
  with = rounds;
  with.erase(with.begin() + 2);
  EXPECT_THAT(error_of(with), HasSubstr(":3: decision 4 follows 2: lines are missing"));
  with.erase(with.begin());
  EXPECT_THAT(error_of(with), HasSubstr(":1: the first decision is 2"));
  with = rounds;
  json wrong = json::parse(with[1]);
  wrong["view"]["jobs"]["1"]["loss"] = "high";
  with[1] = wrong.dump();
  EXPECT_THAT(error_of(with), HasSubstr(":2: not a recorded view"));
  with[1] = R"({"version":2,"kind":"round"})";
  EXPECT_THAT(error_of(with), HasSubstr(":2: a line of another version"));
  with[1] = R"({"version":1,"kind":"round","decision":2})";
  EXPECT_THAT(error_of(with), HasSubstr(":2: not a line of a round"));
  EXPECT_THAT(error_of({"{\"version\":1,\"kind\":\"timing\"}"}), HasSubstr("there is no round in it"));
  EXPECT_EQ(replay(c.folder + "/none.jsonl", "same").error().code, Errc::kNotFound);
}

class GoldenDecisions : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Runs, GoldenDecisions, ::testing::Values("fair", "slaq", "sluice", "sluice-group"));

TEST_P(GoldenDecisions, AreDecidedTheSameByThisBuild) {
  const std::string path = (goldens() / (std::string(GetParam()) + ".jsonl")).string();
  if (std::getenv("SLUICE_RECORD_DECISIONS") != nullptr) {
    Cluster c(11);
    const std::string run = GetParam();
    run_small(c, run.substr(0, run.find('-')), run.ends_with("-group"));
    std::ofstream out(path);
    for (const auto& line : lines_of(c.folder + "/decisions.jsonl"))
      if (json::parse(line)["kind"] == "round") out << line << '\n';
  }
  const auto again = replay(path, "same");
  ASSERT_TRUE(again) << again.error().what;
  EXPECT_GT(again->rounds, 8U);
  EXPECT_TRUE(again->versions.empty()) << again->versions.front() << ": record them again (docs/manager.md)";
  EXPECT_FALSE(again->first) << path << ":" << again->first->line << " " << again->first->where << ": " << again->first->recorded << " / "
                             << again->first->again << "\na policy that decides otherwise has a new version, and the runs are recorded again (docs/manager.md)";
}

}  // namespace
}  // namespace sluice::manager::test
