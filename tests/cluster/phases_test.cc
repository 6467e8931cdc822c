/// Models with phases in a whole cluster: each pass's examples are counted once, nothing of a pass is computed at parameters of another, whatever gets lost and
/// whoever dies.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "proto/table_init.h"
#include "tests/cluster/sim_cluster.h"
#include "worker/data/dataset.h"
#include "worker/detail/layout.h"
#include "worker/local_trainer.h"

namespace sluice::test {
namespace {

constexpr proto::ConsistencySpec kModes[] = {
    {proto::ConsistencyMode::kAsp, 0}, {proto::ConsistencyMode::kSsp, 1}, {proto::ConsistencyMode::kBsp, 0}, {proto::ConsistencyMode::kSsp, 0}};

proto::JobSpec phased(const proto::DataSpec& data, const proto::ConsistencySpec& consistency, std::uint32_t phases) {
  auto spec = job("phased", "phased", data);
  spec.optimizer = {};
  spec.consistency = consistency;
  spec.epochs = phases;
  return spec;
}

/// `times`: how often examples may be counted beside once: batches of slots that died, outside of bsp.
void expect_counted(const nlohmann::json& j, double examples, double times, const std::string& where) {
  EXPECT_EQ(j["state"], "done") << j << where;
  EXPECT_EQ(j["examples"], examples) << j << where;
  EXPECT_GE(j["metric"].get<double>(), examples) << where;
  EXPECT_LE(j["metric"].get<double>(), examples + times) << where;
  EXPECT_DOUBLE_EQ(j["validation_loss"].get<double>(), 1) << "a batch met parameters of another phase, or of two; or an end met another's" << j << where;
}

class Phases : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, Phases, testing::Range<std::uint64_t>(1, 9));

TEST_P(Phases, LostRepeatedAndReorderedMessagesCountEveryExampleOnceAPass) {
  SimOptions options{.seed = GetParam(), .servers = 2, .lanes = 2, .workers = 2};
  options.faults.drop = options.faults.repeat = options.faults.reorder = 0.03;
  options.faults.delay_max = from_ms(2);
  SimCluster cluster(options);
  cluster.submit({phased(write_data(cluster.folder(), 400, 50), kModes[GetParam() % 4], 5)});
  ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
  expect_counted(cluster.ps()["jobs"][0], 5 * 400, 0, " seed " + std::to_string(GetParam()));
  EXPECT_EQ(cluster.recording.phase_ends, 5U) << "each end is computed once where nobody dies";
}

/// Passes are short and ends are many, so that some slots die in the middle of one: the check at the end says so.
TEST(PhasesOfTheDead, ASlotThatDiesAtItLeavesNothingBehind) {
  int in_the_middle = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    SimCluster cluster({.seed = seed, .servers = 2, .workers = 2, .slots = 1});
    const auto& mode = kModes[seed % 4];
    cluster.submit({phased(write_data(cluster.folder(), 60, 10), mode, 100)});
    for (int i = 0; i < 2000 && !(cluster.ps()["jobs"][0]["examples"].get<double>() > 600 + 450 * static_cast<double>(seed)); ++i) cluster.run_for(0.003);
    // To the moment when the next end is computed and not yet committed: by one of two workers.
    const std::uint64_t ends = cluster.recording.phase_ends;
    for (int i = 0; i < 2000 && cluster.recording.phase_ends == ends; ++i) cluster.run_for(0.0001);
    cluster.kill("worker-1");
    ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << seed << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    const bool bsp = mode.mode == proto::ConsistencyMode::kBsp;
    expect_counted(j, 100 * 60, bsp ? 0 : 40, " seed " + std::to_string(seed));
    if (bsp) { EXPECT_EQ(j["redone_batches"], 0) << j; }
    in_the_middle += cluster.recording.phase_ends > 100;
  }
  EXPECT_GT(in_the_middle, 0) << "no slot died between the computation of an end and its commit: the test shows little";
}

TEST_P(Phases, SlotsThatComeAndGoCountEveryExampleOnceAPass) {
  SimCluster cluster({.seed = GetParam(), .servers = 2, .workers = 2, .slots = 2, .policy = GetParam() % 2 == 0 ? "fair" : "slaq"});
  const auto data = write_data(cluster.folder(), 1000, 100);
  auto spec = phased(data, kModes[GetParam() % 4], 8), other = phased(data, kModes[(GetParam() + 1) % 4], 8);
  other.name = "phased-2";
  cluster.submit({spec, other, job("more", "logistic", data), job("yet-more", "logistic", data)});
  ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto status = cluster.ps();
  for (const auto& j : status["jobs"]) {
    if (j["job"].get<std::string>().starts_with("phased")) expect_counted(j, 8000, 0, " seed " + std::to_string(GetParam()));
  }
}

TEST(PhasesEnd, WhenAnEndSaysSo) {
  for (const auto& mode : kModes) {
    SimCluster cluster({.seed = 3, .workers = 2});
    auto spec = phased(write_data(cluster.folder(), 400, 50), mode, 9);
    spec.params = R"({"ends": 4})";
    cluster.submit({spec});
    ASSERT_TRUE(cluster.run_to_end(300)) << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    expect_counted(j, 4 * 400, 0, "");
    EXPECT_EQ(j["reason"], "four are enough") << j;
  }
}

/// A run file can't say it (cli/run_file_test.cc); a spec that was made otherwise is refused by the slot, in words.
TEST(PhasesEnd, AnOptimizerIsRefusedInWords) {
  SimCluster cluster({.seed = 3});
  auto spec = phased(write_data(cluster.folder(), 400, 50), {}, 9);
  spec.optimizer = {"adam", {}};
  cluster.submit({spec});
  ASSERT_TRUE(cluster.run_to_end(60)) << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "failed") << j;
  EXPECT_NE(j["reason"].get<std::string>().find("take 'optimizer' out"), std::string::npos) << j;
}

/// The same data, the same first draw, no cluster: the same centroids but for the order in which floats are added.
TEST(PhasesOfKMeans, AreThoseOfASerialLoop) {
  for (const auto& mode : kModes) {
    SimCluster cluster({.seed = 5, .servers = 2, .lanes = 2, .workers = 2});
    auto spec = job("kmeans", "kmeans", write_data(cluster.folder(), 1000, 300));
    spec.params = R"({"k": 5})";
    spec.optimizer = {};
    spec.consistency = mode;
    spec.epochs = 30;
    cluster.submit({spec});
    ASSERT_TRUE(cluster.run_to_end(600)) << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    ASSERT_EQ(j["state"], "done") << j;
    EXPECT_NE(j["reason"].get<std::string>().find("no centroid moved"), std::string::npos) << j;
    EXPECT_EQ(j["metric_name"], "inertia");

    const auto data = *worker::open_data(spec.data, {.cache_dir = (cluster.folder() / "serial-cache").string()});
    auto model = *(**worker::builtin_models().find("kmeans"))(spec.params, data.train->shape());
    const auto tables = worker::table_specs(model->tables(), spec.seed, {"add", {}}, true);
    worker::LocalTrainer serial(std::move(model), data.train, {.batch = 50, .epochs = spec.epochs});
    for (std::size_t t = 0; t < tables.size(); ++t) {
      if (tables[t].init.kind != proto::InitKind::kZero) proto::init_dense(tables[t], ShardId(0), serial.values(t));
    }
    serial.train(1'000'000);
    ASSERT_TRUE(serial.ended().done);
    EXPECT_EQ(j["examples"], serial.phases() * 1000) << "as many passes";
    const double loss = serial.evaluate(data.test).loss_sum / 300;
    EXPECT_NEAR(j["validation_loss"].get<double>(), loss, 1e-5 * loss);
  }
}

}  // namespace
}  // namespace sluice::test
