/// A cluster from a seed: it trains to the end, the same seed gives the same run, and what the manager decides is written before it is seen.

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "tests/cluster/sim_cluster.h"

namespace sluice::test {
namespace {

TEST(Cluster, TrainsEveryJobToItsEndUnderEveryPolicy) {
  for (const std::string policy : {"fair", "slaq"}) {
    SimCluster cluster({.seed = 3, .policy = policy});
    const auto data = write_data(cluster.folder(), 2000, 400);
    cluster.submit({job("a", "logistic", data), job("b", "softmax", data), job("c", "logistic", data)});
    ASSERT_TRUE(cluster.run_to_end(300)) << policy << cluster.ps().dump(1);
    const auto status = cluster.ps();
    for (const auto& j : status["jobs"]) {
      EXPECT_EQ(j["state"], "done") << j;
      EXPECT_EQ(j["examples"], 3 * 2000) << j;
      EXPECT_LT(j["loss"].get<double>(), j["first_loss"].get<double>()) << j;
      EXPECT_GT(j["metric"].get<double>(), 0.85) << j;
    }
    EXPECT_TRUE(cluster.fatal.empty());
  }
}

TEST(Cluster, SameSeedSameRun) {
  const auto run = [](std::uint64_t seed) {
    SimCluster cluster({.seed = seed});
    const auto data = write_data(cluster.folder(), 1000, 200);
    cluster.submit({job("a", "logistic", data), job("b", "logistic", data), job("c", "logistic", data)});
    EXPECT_TRUE(cluster.run_to_end(300));
    std::string trace;
    const auto status = cluster.ps();
    for (const auto& j : status["jobs"]) trace += j["job"].get<std::string>() + j["loss"].dump() + j["slot_seconds"].dump() + j["moves_in"].dump() + "\n";
    return trace;
  };
  EXPECT_EQ(run(11), run(11));
  EXPECT_NE(run(11), run(12)) << "the seed changes nothing: then the test above shows nothing";
}

TEST(Cluster, StalenessBoundOfSspHoldsAndAllExamplesAreTrained) {
  SimCluster cluster({.seed = 5, .workers = 2, .slots = 2});
  const auto data = write_data(cluster.folder(), 2000, 200);
  auto spec = job("ssp", "counting", data);
  spec.optimizer = {"add", {}};
  spec.consistency = {proto::ConsistencyMode::kSsp, 1};
  cluster.submit({spec});
  ASSERT_TRUE(cluster.run_to_end(300)) << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["examples"], 6000);
  EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 6000);
}

TEST(Cluster, ManyLanesServersAndWorkersShareOneJob) {
  SimCluster cluster({.seed = 8, .servers = 3, .lanes = 2, .workers = 3, .slots = 2});
  const auto data = write_data(cluster.folder(), 3000, 200);
  auto spec = job("counted", "counting", data);
  spec.optimizer = {"add", {}};
  cluster.submit({spec, job("other", "softmax", data)});
  ASSERT_TRUE(cluster.run_to_end(300)) << cluster.ps().dump(1);
  const auto status = cluster.ps();
  for (const auto& j : status["jobs"]) {
    EXPECT_EQ(j["state"], "done") << j;
    if (j["job"] == "counted") { EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 9000) << j; }
  }
}

TEST(Cluster, PatienceEndsAJobThatGetsNoBetterAndSaysSo) {
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    SimCluster cluster({.seed = 6, .workers = 2, .slots = 2});
    const auto data = write_data(cluster.folder(), 2000, 100);
    auto spec = job("flat", "counting", data);  // its held-out loss is always the same
    spec.optimizer = {"add", {}};
    spec.consistency.mode = mode;
    spec.epochs = 50, spec.patience_epochs = 3;
    cluster.submit({spec});
    ASSERT_TRUE(cluster.run_to_end(300)) << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    EXPECT_EQ(j["state"], "done") << j;
    EXPECT_NE(j["reason"].get<std::string>().find("stopped early: the held-out loss is 1 after"), std::string::npos) << j;
    EXPECT_GE(j["examples"], 4 * 2000) << j;
    EXPECT_LE(j["examples"], 10 * 2000) << j;
    EXPECT_DOUBLE_EQ(j["metric"].get<double>(), j["examples"].get<double>()) << "what was trained is applied";
  }
}

TEST(Cluster, EveryChangeOfASlotHasItsEntry) {
  SimCluster cluster({.seed = 4, .policy = "slaq"});
  const auto data = write_data(cluster.folder(), 2000, 200);
  cluster.submit({job("a", "logistic", data), job("b", "softmax", data), job("c", "logistic", data)});
  ASSERT_TRUE(cluster.run_to_end(300));
  std::size_t changes = 0;
  for (const auto& line : cluster.decisions()) {
    if (line["kind"] != "round") continue;
    std::set<std::string> named;
    for (const auto& entry : line["changes"]) {
      EXPECT_TRUE(named.insert(entry["job"]).second) << "two entries for one job: " << line;
      EXPECT_FALSE(entry["sentence"].get<std::string>().empty()) << line;
    }
    for (const auto& move : line["moves"]) {
      ++changes;
      if (!move["to"].is_null()) { EXPECT_TRUE(named.contains(move["to"])) << line; }
    }
  }
  EXPECT_GT(changes, 3U);
}

}  // namespace
}  // namespace sluice::test
