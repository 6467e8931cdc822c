/// Jobs that end before their epochs because they have had enough training, in a whole cluster in one thread.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cluster/sim_cluster.h"

namespace sluice::test {
namespace {
using ::testing::HasSubstr;

nlohmann::json job_of(const nlohmann::json& ps, const std::string& name) {
  for (const auto& j : ps["jobs"])
    if (j["job"] == name) return j;
  return {};
}

TEST(Ends, AJobEndsWithItsTargetOrWhenItHasConvergedAndTheOthersTrainOn) {
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    SimCluster cluster({.seed = 8, .workers = 2, .slots = 2});
    const auto data = write_data(cluster.folder(), 2000, 100);
    auto level = job("level", "counting", data);  // its loss is always the same
    level.optimizer = {"add", {}};
    level.epochs = 2000, level.stop_converged = true, level.consistency.mode = mode;
    auto low = job("low", "logistic", data);
    low.epochs = 2000, low.target = proto::TargetSpec{"loss", 0.3, 0}, low.consistency.mode = mode;
    auto good = job("good", "logistic", data);
    good.epochs = 2000, good.target = proto::TargetSpec{"accuracy", 0.9, 0}, good.validation.metric = "accuracy";
    auto whole = job("whole", "logistic", data);
    whole.epochs = 3;
    cluster.submit({level, low, good, whole});
    ASSERT_TRUE(cluster.run_to_end(600)) << cluster.ps().dump(1);
    const auto ps = cluster.ps();
    for (const auto& j : ps["jobs"]) EXPECT_EQ(j["state"], "done") << j;
    EXPECT_THAT(job_of(ps, "level")["reason"].get<std::string>(), HasSubstr("converged: over the last 40 % of its"));
    EXPECT_LT(job_of(ps, "level")["examples"].get<double>(), 2000.0 * 2000);
    EXPECT_EQ(job_of(ps, "level")["metric"].get<double>(), job_of(ps, "level")["examples"].get<double>()) << "what was trained is applied, and scored";
    EXPECT_THAT(job_of(ps, "low")["reason"].get<std::string>(), HasSubstr("target reached: loss <= 0.3"));
    EXPECT_EQ(job_of(ps, "low")["target"]["reached"], true);
    EXPECT_THAT(job_of(ps, "good")["reason"].get<std::string>(), HasSubstr("target reached: accuracy >= 0.9"));
    EXPECT_GE(job_of(ps, "good")["metric"].get<double>(), 0.85) << "the end is scored once more";
    EXPECT_EQ(job_of(ps, "whole")["reason"], "epochs reached");
    EXPECT_EQ(job_of(ps, "whole")["examples"], 6000);
    const auto summary = cluster.call("summary", nlohmann::json::object());
    EXPECT_EQ(job_of(summary, "low")["target"]["probability"], 1);
    EXPECT_TRUE(job_of(summary, "whole")["target"].is_null());
  }
}

}  // namespace
}  // namespace sluice::test
