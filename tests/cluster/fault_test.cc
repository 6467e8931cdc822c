/// Lost, repeated, reordered and late messages, and killed workers: the counting model shows every example applied exactly once.

#include <gtest/gtest.h>

#include "tests/cluster/sim_cluster.h"

namespace sluice::test {
namespace {

proto::JobSpec counting(const proto::DataSpec& data) {
  auto spec = job("counted", "counting", data);
  spec.optimizer = {"add", {}};
  return spec;
}

class Faults : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Faults, LostAndRepeatedMessagesApplyEveryExampleExactlyOnce) {
  SimOptions options{.seed = GetParam(), .servers = 2, .workers = 2};
  options.faults.drop = 0.03;
  options.faults.repeat = 0.03;
  options.faults.delay_max = from_ms(2);
  SimCluster cluster(options);
  const auto data = write_data(cluster.folder(), 1000, 100);
  cluster.submit({counting(data)});
  ASSERT_TRUE(cluster.run_to_end(600)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_EQ(j["examples"], 3000);
  EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 3000) << "seed " << GetParam();
}

TEST_P(Faults, AKilledWorkersBatchesAreRedoneAtMostOnceASlotAndReported) {
  SimCluster cluster({.seed = GetParam(), .servers = 2, .workers = 2, .slots = 2});
  const auto data = write_data(cluster.folder(), 20000, 100);
  cluster.submit({counting(data)});
  for (int i = 0; i < 400; ++i) {
    cluster.run_for(0.01);
    if (cluster.ps()["jobs"][0]["examples"].get<double>() > 2000) break;
  }
  cluster.kill("worker-1");
  ASSERT_TRUE(cluster.run_to_end(600)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_EQ(j["examples"], 60000) << "each example is committed once an epoch";
  EXPECT_TRUE(cluster.ps()["workers"].size() == 1U || !cluster.ps()["workers"][0]["alive"].get<bool>() || !cluster.ps()["workers"][1]["alive"].get<bool>())
      << "the kill came too late";
  const double applied = j["metric"].get<double>();
  EXPECT_GE(applied, 60000);
  EXPECT_LE(applied, 60000 + 2 * 20) << "at most one batch per dead slot is applied twice";
  EXPECT_GE(j["redone_batches"].get<double>() * 20, applied - 60000) << "what was applied twice is reported";
}

INSTANTIATE_TEST_SUITE_P(Seeds, Faults, testing::Values(1, 2, 3, 4, 5, 6, 7, 8));

TEST(LostServer, FailsItsJobsInWordsAndNothingHangs) {
  SimCluster cluster({.seed = 2, .servers = 2});
  const auto data = write_data(cluster.folder(), 20000, 100);
  cluster.submit({job("a", "softmax", data), job("b", "softmax", data)});
  cluster.run_for(2);
  cluster.kill("server-2");
  ASSERT_TRUE(cluster.run_to_end(120)) << cluster.ps().dump(1);
  const auto status = cluster.ps();
  for (const auto& j : status["jobs"]) {
    if (j["state"] == "failed") { EXPECT_NE(j["reason"].get<std::string>().find("server-2"), std::string::npos) << j; }
  }
}

}  // namespace
}  // namespace sluice::test
