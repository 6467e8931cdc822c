#include "cli/report/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::cli::report {
namespace {
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// A run of jobs whose losses fall from 2 to `end` within `seconds` of their submission, reported every half second for 20 s; the n-th is submitted at n
/// seconds.
RunFiles run(const std::string& policy, const std::vector<std::string>& jobs, double end = 0, double seconds = 10) {
  RunFiles out;
  out.record.folder = "out/" + policy;
  out.record.policy = policy;
  out.record.wall_seconds = 20 + static_cast<double>(jobs.size());
  out.record.specs = json::array();
  json entries = json::array();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    out.record.specs.push_back({{"name", jobs[i]}, {"model", "softmax"}});
    JobRecord& job = out.record.jobs[jobs[i]];
    job.summary = {
        {"job", jobs[i]},     {"state", "done"}, {"submitted_seconds", i}, {"seconds_to_90", 3.0 + static_cast<double>(i)}, {"metrics", {{"accuracy", 0.875}}},
        {"slot_seconds", 4.5}};
    entries.push_back(job.summary);
    for (double t = 0.5; t <= 20; t += 0.5) {
      LossPoint p;
      p.seconds = t;
      p.step = p.examples = static_cast<std::uint64_t>(t * 100);
      p.loss = t >= seconds ? end : 2 - (2 - end) * t / seconds;
      job.points.push_back(p);
    }
  }
  out.record.summary = {{"version", 1}, {"slots", 2}, {"servers", 1}, {"jobs", entries}, {"aggregate", {{"loss_seconds_per_job", 1.5}}}};
  return out;
}

/// The jobs' slots: each job holds one for as many seconds as its place in the list, plus one.
void hold(RunFiles& run, const std::vector<std::string>& jobs) {
  run.digest.jobs = jobs;
  for (std::uint32_t i = 0; i < jobs.size(); ++i) { run.digest.slots.push_back({0, kIdle, i}); }
  for (std::uint32_t i = 0; i < jobs.size(); ++i) run.digest.slots.push_back({static_cast<double>(i + 1), i, kIdle});
}

TEST(Document, ALateJobsCurveBeginsLater) {
  const json got = document({run("slaq", {"early", "late"})});
  EXPECT_THAT(got["jobs"], ElementsAre("early", "late"));
  const json& jobs = got["runs"][0]["jobs"];
  EXPECT_EQ(jobs[0]["t"][0], 0.5);
  EXPECT_EQ(jobs[1]["t"][0], 1.5);
  for (const json& job : jobs) {
    EXPECT_EQ(job["q"].front(), 1);
    EXPECT_LT(job["q"].back().get<double>(), 0.01);
    for (const json& q : job["q"]) EXPECT_GE(q.get<double>(), 0);
  }
  EXPECT_EQ(jobs[0]["score_text"], "87.5 %");
  EXPECT_EQ(jobs[0]["model"], "softmax");
}

TEST(Document, TheWorstJobIsTheSlowestAndWhatWasNeverReachedCountsAsTheEnd) {
  auto one = run("slaq", {"a", "b", "c"});
  const json first = document({one});
  EXPECT_EQ(first["runs"][0]["worst"]["job"], 2);
  EXPECT_EQ(first["runs"][0]["seconds_to_90"], 4);
  one.record.jobs["b"].summary["seconds_to_90"] = nullptr;
  const json got = document({one});
  EXPECT_EQ(got["runs"][0]["worst"], json({{"job", 1}, {"seconds", 22.0}, {"reached", false}}));
  EXPECT_EQ(got["runs"][0]["reached"], 2);
}

TEST(Document, TimesTo95AreThere) {
  const json got = document({run("slaq", {"a", "b"})})["runs"][0];
  EXPECT_NEAR(got["jobs"][0]["seconds_to_95"].get<double>(), 9.95, 0.6) << "the fall ends after 10 s; smoothed, half a second late";
  EXPECT_EQ(got["reached_95"], 2);
  EXPECT_GT(got["seconds_to_95"], got["seconds_to_90"]);
}

TEST(Document, AGroupsCurveIsItsBestSoFarAndSaysWhoseItWas) {
  auto grouped = run("sluice", {"slow", "late", "other"});  // "late" is submitted a second later, and falls further
  for (auto& spec : grouped.record.specs) spec["group"] = spec["name"] == "other" ? "" : "g";
  for (auto& point : grouped.record.jobs["slow"].points) point.loss = std::max(1.0, point.loss);
  const json groups = document({grouped})["runs"][0]["groups"];
  ASSERT_EQ(groups.size(), 1U);
  const json& g = groups[0];
  EXPECT_EQ(g["group"], "g");
  EXPECT_EQ(g["members"], 2);
  EXPECT_EQ(g["t"].size(), g["q"].size());
  EXPECT_EQ(g["t"].size(), g["leader"].size());
  EXPECT_EQ(g["leader"].front(), 0);
  EXPECT_EQ(g["leader"].back(), 1) << "the first one stopped falling at 1";
  EXPECT_TRUE(std::is_sorted(g["q"].rbegin(), g["q"].rend(), [](const json& a, const json& b) { return a.get<double>() < b.get<double>(); }));
  EXPECT_NEAR(g["q"].back().get<double>(), 0, 0.01);
  EXPECT_NEAR(g["seconds_to_90"].get<double>(), 10.5, 0.6) << "from the first member's submission: the late one is there after nine seconds of its own";
  EXPECT_GT(g["seconds_to_95"], g["seconds_to_90"]);
  EXPECT_GT(g["loss_seconds"], 4);
  // Side by side against what the better run reached.
  auto better = grouped;
  for (auto& point : better.record.jobs["late"].points) point.loss -= 1;
  const json both = document({grouped, better});
  EXPECT_EQ(both["runs"][0]["groups"][0]["best"], both["comparison"]["groups"][0]["best_loss"]);
  EXPECT_TRUE(both["runs"][0]["groups"][0]["seconds_to_90"].is_null());
  EXPECT_EQ(document({run("fair", {"a"})})["runs"][0]["groups"], json::array());
}

TEST(Document, RunsOfTheSameJobsHaveOneReference) {
  const json got = document({run("a", {"m"}, /*end=*/1), run("b", {"m"}, /*end=*/0)});
  ASSERT_TRUE(got["comparison"].is_object());
  EXPECT_EQ(got["not_compared"], "");
  EXPECT_NEAR(got["runs"][0]["jobs"][0]["q"].back().get<double>(), 0.5, 0.03) << "half of what the other run reached";
  EXPECT_FALSE(got["runs"][0]["worst"]["reached"].get<bool>());
  EXPECT_EQ(got["comparison"]["runs"][0]["seconds_to_90_mean"], got["runs"][0]["seconds_to_90"]) << "as sluice compare says";
}

TEST(Document, RunsThatCannotBeComparedSayWhyAndAreShown) {
  auto open = run("b", {"m"});
  open.record.summary = nullptr;
  for (const auto& [other, words] :
       std::vector<std::pair<RunFiles, std::string>>{{run("b", {"n"}), "not runs of the same jobs"}, {open, "did not come to an end"}}) {
    const json got = document({run("a", {"m"}), other});
    EXPECT_TRUE(got["comparison"].is_null());
    EXPECT_THAT(got["not_compared"].get<std::string>(), HasSubstr(words));
    EXPECT_EQ(got["runs"].size(), 2u);
    EXPECT_NEAR(got["runs"][0]["jobs"][0]["q"].back().get<double>(), 0, 0.01);
  }
}

TEST(Document, AnUnfinishedRunIsMeasuredByWhatIsThere) {
  auto open = run("slaq", {"a", "b"});
  open.record.summary = nullptr;
  for (auto& [name, job] : open.record.jobs) job.summary = {{"job", name}, {"state", "unfinished"}};
  hold(open, {"a", "b"});
  open.digest.moved_by_job = {{1, 5}};
  const json got = document({open});
  const json& entry = got["runs"][0];
  EXPECT_FALSE(entry["ended"].get<bool>());
  EXPECT_EQ(entry["jobs"][0]["slot_seconds"], 1);
  EXPECT_EQ(entry["jobs"][1]["slot_seconds"], 2);
  EXPECT_EQ(entry["jobs"][1]["moves"], 5);
  EXPECT_EQ(entry["jobs"][0]["first"], 1.9);
  EXPECT_NEAR(entry["jobs"][0]["seconds_to_90"].get<double>(), 9.5, 0.6);
}

TEST(Document, OfManyJobsThoseWithMostSlotSecondsAreTold) {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back("j" + std::to_string(i));
  auto many = run("slaq", names);
  hold(many, names);
  const json got = document({many});
  ASSERT_EQ(got["coloured"].size(), 23u);
  for (std::size_t i = 0; i < 23; ++i) EXPECT_EQ(got["coloured"][i], 77 + i) << "the last ones held theirs longest";
  const json& bands = got["runs"][0]["bands"];
  ASSERT_EQ(bands["jobs"].size(), 24u);
  EXPECT_TRUE(bands["jobs"].back().is_null());
  EXPECT_EQ(bands["n"].back().front(), 77) << "all others together";
  double held = 0;
  for (const json& row : bands["n"]) held += row.front().get<double>();
  EXPECT_EQ(held, 100);
}

TEST(Document, OutcomesAreInPartsOfTheImprovement) {
  auto one = run("slaq", {"m"});  // improves from 1.9 to 0
  one.digest.jobs = {"m", "gone"};
  one.digest.outcomes = {{1, 0, 0.19, 0.38}, {2, 0, 0.19, -0.19}, {3, 0, 0, 0.5}, {4, 1, 1, 1}};
  const json got = document({one})["runs"][0]["outcomes"];
  EXPECT_EQ(got["total"], 2);
  EXPECT_EQ(got["unpredicted"], 2) << "no prediction, and a job without a curve";
  EXPECT_EQ(got["at_least"], 1);
  EXPECT_NEAR(got["points"][0][1].get<double>(), 0.1, 0.002);
  EXPECT_NEAR(got["points"][1][2].get<double>(), -0.1, 0.002);
}

TEST(Document, StaysSmallAndSaysWhatItKept) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("job-" + std::to_string(i));
  auto big = run("slaq", names);
  for (auto& [name, job] : big.record.jobs) {
    const auto points = job.points;
    for (int i = 0; i < 5; ++i) job.points.insert(job.points.end(), points.begin(), points.end());
  }
  hold(big, names);
  for (std::uint32_t i = 0; i < 50'000; ++i) big.digest.outcomes.push_back({i, i % 1000, 0.1, 0.1});
  const json got = document({big});
  EXPECT_LT(got.dump().size(), 2u << 20);
  EXPECT_EQ(got["runs"][0]["jobs"][0]["t"].size(), 60u);
  EXPECT_EQ(got["runs"][0]["jobs"][0]["points"], 240);
  EXPECT_EQ(got["runs"][0]["outcomes"]["total"], 50'000);
  EXPECT_LE(got["runs"][0]["outcomes"]["points"].size(), 4000u);
}

TEST(Document, LossesThatNeverFallAndNumbersThatAreNoneAreNoCrash) {
  auto odd = run("slaq", {"flat", "wild", "none"});
  for (auto& point : odd.record.jobs["flat"].points) point.loss = 3;
  odd.record.jobs["wild"].points[5].loss = 1e308;
  odd.record.jobs["wild"].points[6].loss = -1e308;
  odd.record.jobs["none"].points.clear();
  odd.record.jobs["none"].summary = {{"state", 7}, {"metrics", {{"accuracy", "x"}}}, {"submitted_seconds", "x"}, {"seconds_to_90", {1}}};
  odd.record.summary["aggregate"] = 7;
  const json got = document({odd});
  EXPECT_EQ(json::parse(got.dump()).at("runs")[0]["jobs"].size(), 3u);
  for (const json& q : got["runs"][0]["jobs"][0]["q"]) EXPECT_EQ(q, 1);
}

TEST(Document, ALossThatOnlyRoseLeavesThePlot) {
  auto hot = run("slaq", {"m"});
  for (std::size_t i = 1; i < hot.record.jobs["m"].points.size(); ++i) hot.record.jobs["m"].points[i].loss = 1e23;
  const json q = document({hot})["runs"][0]["jobs"][0]["q"];
  EXPECT_EQ(q[0], 1);
  for (std::size_t i = 1; i < q.size(); ++i) EXPECT_EQ(q[i], 4);
}

}  // namespace
}  // namespace sluice::cli::report
