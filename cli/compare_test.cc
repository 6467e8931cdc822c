#include "cli/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

/// A run whose loss falls from 2 straight to `end` at `seconds`, then stays; a report every half second.
RunRecord run(const std::string& policy, double seconds, double end, double wall, double lr = 0.1) {
  RunRecord out;
  out.folder = "out/" + policy;
  out.policy = policy;
  out.wall_seconds = wall;
  out.specs = {{{"name", "m"}, {"lr", lr}}};
  auto& job = out.jobs["m"];
  job.summary = {{"job", "m"}, {"state", "done"}, {"metrics", {{"accuracy", 0.9}}}};
  for (double t = 0.5; t <= wall; t += 0.5) {
    LossPoint p;
    p.seconds = t;
    p.step = static_cast<std::uint64_t>(t * 100);
    p.loss = t >= seconds ? end : 2 - (2 - end) * t / seconds;
    job.points.push_back(p);
  }
  return out;
}

TEST(Compare, TimeTo90IsAgainstTheBestOfAnyRun) {
  // B reaches 0 and A only 1: 90 % of the way from 2 to 0 is 0.2, which A never reaches.
  const auto c = compare({run("a", 5, 1, 20), run("b", 10, 0, 20)});
  ASSERT_TRUE(c) << c.error().what;
  const auto& job = c->jobs.at(0);
  EXPECT_NEAR(job.best_loss, 0, 0.01);
  EXPECT_FALSE(job.runs[0].reached);
  EXPECT_EQ(job.runs[0].seconds_to_90, 20) << "what was never reached counts as the end of the run";
  EXPECT_TRUE(job.runs[1].reached);
  EXPECT_NEAR(job.runs[1].seconds_to_90, 9.5, 0.6) << "0.2 is crossed at 9 s, smoothing adds about a report";
  EXPECT_GT(job.runs[1].seconds_to_95, job.runs[1].seconds_to_90);
  EXPECT_THAT(to_text(*c), HasSubstr("20.0 s*"));
}

TEST(Compare, WhatALateJobNeverReachedCountsFromItsSubmission) {
  auto a = run("a", 5, 1, 20), b = run("b", 10, 0, 20);
  for (RunRecord* r : {&a, &b}) r->jobs["m"].summary["submitted_seconds"] = 8;
  const auto c = compare({a, b});
  ASSERT_TRUE(c);
  EXPECT_FALSE(c->jobs[0].runs[0].reached);
  EXPECT_EQ(c->jobs[0].runs[0].seconds_to_90, 12);
}

TEST(Compare, FasterIsBetterInEveryMeasure) {
  const auto c = compare({run("slow", 12, 0, 20), run("fast", 4, 0, 20)});
  ASSERT_TRUE(c);
  EXPECT_LT(c->totals[1].seconds_to_90_mean, 0.5 * c->totals[0].seconds_to_90_mean);
  EXPECT_LT(c->totals[1].loss_seconds_mean, c->totals[0].loss_seconds_mean);
  EXPECT_THAT(to_text(*c), HasSubstr("mean time to 90 %: slow"));
}

/// Two runs of a group of two: in "first" `winner` goes first and `loser` begins at 10 s, in "last" the other way round.
RunRecord group_run(const std::string& policy, double winner_from, double loser_from) {
  RunRecord out = run(policy, 4, 0, 20);
  out.specs = {{{"name", "winner"}, {"group", "g"}}, {{"name", "loser"}, {"group", "g"}}};
  const JobRecord falls = out.jobs["m"];
  out.jobs.clear();
  for (const auto& [name, from, end] : {std::tuple{"winner", winner_from, 0.0}, std::tuple{"loser", loser_from, 1.0}}) {
    JobRecord& job = out.jobs[name] = falls;
    job.summary["job"] = name;
    for (LossPoint& p : job.points) p.seconds += from, p.loss = end + p.loss * (2 - end) / 2;
  }
  return out;
}

TEST(Compare, OfAGroupTheBestSoFarCounts) {
  const auto c = compare({group_run("first", 0, 10), group_run("last", 10, 0)});
  ASSERT_TRUE(c) << c.error().what;
  ASSERT_EQ(c->groups.size(), 1U);
  const GroupComparison& group = c->groups[0];
  EXPECT_EQ(group.group, "g");
  EXPECT_NEAR(group.best_loss, 0, 0.01);
  // 90 % of the way from 2 to 0 is .2: the winner crosses it 3.6 s after it began, smoothing adds about a report.
  EXPECT_NEAR(group.runs[0].seconds_to_90, 4, 0.6);
  EXPECT_NEAR(group.runs[1].seconds_to_90, 14, 0.6);
  EXPECT_NEAR(group.runs[1].seconds_to_95, 14.8, 0.6) << "and here by more";
  // By hand: a straight fall over 4 s is 2 s, and the loser's alone leaves a half until the winner is below it.
  EXPECT_NEAR(group.runs[0].loss_seconds, 2 + 1, 0.4);
  EXPECT_NEAR(group.runs[1].loss_seconds, 4 * 0.75 + 6 * 0.5 + 2 * 0.5 + 2 * 0.25 + 1, 0.6) << "a report and the smoothing late, over a fall of one in all";
  EXPECT_THAT(to_text(*c), HasSubstr("best of group g, time to 90 %: first"));
  EXPECT_EQ(nlohmann::json::parse(to_json(*c)).at("groups").at(0).at("runs").size(), 2U);
}

TEST(Compare, RefusesRunsOfDifferentJobs) {
  EXPECT_EQ(compare({run("a", 1, 0, 5)}).error().code, Errc::kBadConfig);
  const auto other = compare({run("a", 1, 0, 5), run("b", 1, 0, 5, /*lr=*/0.2)});
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().what, HasSubstr("not runs of the same jobs: 'lr' of job 'm' differs"));
  auto more = run("b", 1, 0, 5);
  more.specs.push_back({{"name", "n"}});
  more.jobs["n"] = {};
  EXPECT_THAT(compare({run("a", 1, 0, 5), more}).error().what, HasSubstr("job 'n' is only in the second"));
}

TEST(Compare, AJobWithoutAnyLossIsNoCrash) {
  auto a = run("a", 1, 0, 5);
  auto b = run("b", 1, 0, 5);
  a.jobs["m"].points.clear();
  b.jobs["m"].points.clear();
  const auto c = compare({a, b});
  ASSERT_TRUE(c);
  EXPECT_EQ(c->jobs[0].runs[0].seconds_to_90, 5);
  EXPECT_THAT(to_json(*c), HasSubstr("\"best_loss\":null"));
}

TEST(Compare, ReadsAnOutputFolderStrictly) {
  std::string pattern = (fs::temp_directory_path() / "sluice-compare-XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  EXPECT_EQ(load_run(folder).error().code, Errc::kNotFound);
  std::ofstream(folder + "/run.json") << R"({"version":1,"jobs":[{"name":"m"}]})";
  std::ofstream(folder + "/summary.json") << R"({"version":1,"policy":"fair","wall_seconds":3.5,"jobs":[{"job":"m","state":"done"}]})";
  std::ofstream(folder + "/losses.csv") << "job,seconds,step,examples,loss,slots\nm,0.5,10,1280,2.1,1\nm,1.5,30,3840,1.2,2\n";
  const auto got = load_run(folder);
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(got->wall_seconds, 3.5);
  ASSERT_EQ(got->jobs.at("m").points.size(), 2u);
  EXPECT_EQ(got->jobs.at("m").points[1].loss, 1.2);
  std::ofstream(folder + "/losses.csv") << "job,seconds,step,examples,loss,slots\nm,0.5,10,1280,2.1,1\nm,x,30,3840,1.2,2\n";
  EXPECT_THAT(load_run(folder).error().what, HasSubstr("losses.csv:3: not a row"));
  std::ofstream(folder + "/losses.csv") << "something else\n";
  EXPECT_THAT(load_run(folder).error().what, HasSubstr("losses.csv:1: not the header"));
  fs::remove_all(folder);
}

TEST(Compare, OfANameThatWasUsedTwiceTheNewestJobCountsAsInTheSummary) {
  std::string pattern = (fs::temp_directory_path() / "sluice-compare-XXXXXX").string();
  const std::string folder = ::mkdtemp(pattern.data());
  std::ofstream(folder + "/run.json") << R"({"version":1,"jobs":[{"name":"nightly"}]})";
  std::ofstream(folder + "/summary.json") << R"({"version":1,"policy":"fair","wall_seconds":3.5,"jobs":[{"job":"nightly","id":1},{"job":"nightly","id":2}]})";
  std::ofstream(folder + "/losses.csv") << "job,seconds,step,examples,loss,slots\nnightly,0.5,1,10,9,1\nnightly,5,30,300,1,2\nnightly,0.4,1,10,7,1\n"
                                           "nightly,0.9,4,40,6,1\nnightly,1.2,4,40,6,1\n";
  const auto got = load_run(folder);
  ASSERT_TRUE(got) << got.error().what;
  const JobRecord& job = got->jobs.at("nightly");
  EXPECT_EQ(job.summary["id"], 2);
  ASSERT_EQ(job.points.size(), 3U) << "a report that is said again begins nothing";
  EXPECT_EQ(job.points[0].loss, 7);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace sluice::cli
