/// bsp: the same slots give the same bits whatever the network does, and what a plain loop over the same batches gives; nobody waits for the dead.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "server/detail/chunk_schedule.h"
#include "server/optimizer.h"
#include "tests/cluster/sim_cluster.h"
#include "worker/data/dataset.h"
#include "worker/detail/layout.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kRows = 1000, kTestRows = 300;

proto::JobSpec bsp_job(const std::string& model, const proto::DataSpec& data, std::uint32_t slots) {
  auto spec = job("bsp", model, data);
  spec.consistency = {proto::ConsistencyMode::kBsp, 0};
  spec.slots_min = spec.slots_max = slots;
  return spec;
}

struct Outcome {
  std::vector<double> losses;  ///< sorted: slots of one clock compute in any order
  std::vector<std::vector<float>> parameters;
  std::string validation;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// What differs from bsp with AdaGrad on a network that loses nothing.
struct Variant {
  proto::OptimizerSpec optimizer{"adagrad", {{"lr", 0.2}}};
  double drop = 0;
  std::uint32_t local_steps = 0;
  proto::ConsistencyMode mode = proto::ConsistencyMode::kBsp;
  std::uint32_t batch = 20;
};

Outcome train(const SimOptions& options, std::uint32_t slots, const Variant& variant = {}) {
  SimOptions faulty = options;
  faulty.faults.delay_max = from_ms(3);
  faulty.faults.drop = faulty.faults.repeat = variant.drop;
  SimCluster cluster(faulty);
  auto spec = bsp_job("recorded", write_data(cluster.folder(), kRows, kTestRows), slots);
  spec.optimizer = variant.optimizer;
  spec.batch = variant.batch;
  spec.consistency.mode = variant.mode;
  spec.consistency.local_steps = variant.local_steps;
  spec.consistency.push = variant.mode == proto::ConsistencyMode::kBsp ? proto::LocalPush::kAverage : proto::LocalPush::kDelta;
  cluster.submit({spec});
  EXPECT_TRUE(cluster.run_to_end(600)) << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_EQ(j["examples"], 3 * kRows) << j;
  EXPECT_EQ(j["redone_batches"], 0) << j;
  Outcome out{cluster.recording.losses, cluster.recording.parameters, j["validation_loss"].dump()};
  std::sort(out.losses.begin(), out.losses.end());
  return out;
}

class Bsp : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Slots, Bsp, testing::Values(1, 2, 3));

TEST_P(Bsp, GivesTheSameBitsWhateverTheNetworkDoesAndWhereverShardsAre) {
  const std::uint32_t slots = GetParam();
  const auto first = train({.seed = 1, .servers = 1, .workers = 1, .slots = slots}, slots);
  EXPECT_EQ(first.losses.size(), 3 * kRows / 20);
  EXPECT_EQ(first.parameters.size(), 3U) << "one scoring an epoch";
  for (std::uint64_t seed = 2; seed < 5; ++seed) EXPECT_EQ(train({.seed = seed, .servers = 1, .workers = 1, .slots = slots}, slots), first) << seed;
  EXPECT_EQ(train({.seed = 5, .servers = 2, .lanes = 2, .workers = 1, .slots = slots}, slots), first) << "several servers and lanes";
  EXPECT_EQ(train({.seed = 6, .servers = 3, .workers = slots, .slots = 1}, slots), first) << "several workers";
  EXPECT_EQ(train({.seed = 7, .servers = 2, .lanes = 3, .workers = slots, .slots = 1}, slots, {.drop = 0.03}), first) << "lost and repeated messages";
}

TEST(BspOfOtherSlots, IsAnotherRun) {
  EXPECT_NE(train({.slots = 2}, 2), train({.slots = 3}, 3)) << "the number of slots changes nothing: then the test above shows little";
}

/// The same batches, one after the other: each clock's gradients, weighted by their rows, added up in slot order, then one step of AdaGrad on all rows.
class Serial {
 public:
  Serial(const proto::JobSpec& spec, const std::filesystem::path& cache, std::uint32_t slots) : spec_(spec), places_(slots) {
    data_ = *worker::open_data(spec.data, {.cache_dir = cache.string()});
    model_ = *(**worker::builtin_models().find("logistic"))("{}", data_.train->shape());
    const std::uint32_t chunk = worker::chunk_rows(kRows, spec.step_rows());
    schedule_.emplace(server::ChunkPlan{kRows, chunk, spec.epochs, spec.seed});
    optimizer_ = *server::make_optimizer(spec.optimizer);
  }
  /// All clocks; the parameters after each epoch.
  void run() {
    std::uint32_t evaluated = 0;
    for (;;) {
      const bool busy = std::any_of(places_.begin(), places_.end(), [](const Place& p) { return p.piece.has_value(); });
      if (schedule_->epochs_done() > evaluated) {
        if (!busy) evaluated = schedule_->epochs_done(), score();
      }
      if (schedule_->epochs_done() == evaluated) {
        for (Place& place : places_) {
          if (!place.piece) place.piece = schedule_->next();
        }
      }
      if (schedule_->done() && schedule_->epochs_done() == evaluated) return;
      clock();
    }
  }
  Recording recording;

 private:
  struct Place {
    std::optional<server::Piece> piece;
  };
  struct Row {
    float value = 0, state = 0;
  };
  static constexpr Key kBias = ~Key{0};

  std::vector<float> values(const std::vector<Key>& keys) {
    std::vector<float> out;
    for (const Key key : keys) out.push_back(rows_[key].value);
    return out;
  }
  void clock() {
    struct Part {
      std::map<Key, float> gradient;
      float rows = 0;
    };
    std::vector<Part> parts;
    float all = 0;
    for (Place& place : places_) {
      if (!place.piece) continue;
      auto& piece = *place.piece;
      const std::uint32_t n = std::min(spec_.batch, piece.rows - piece.offset);
      worker::BatchReader reader(data_.train);
      const auto batch = reader.read(piece.first_row, piece.rows, spec_.seed, piece.epoch, piece.offset, n);
      std::vector<std::vector<Key>> keys(2);
      model_->keys(batch, keys);
      const auto w = values(keys[0]), b = values({kBias});
      std::vector<float> gw(w.size()), gb(1);
      const std::vector<worker::TableView> views = {{w, keys[0]}, {b, {}}};
      const std::vector<worker::TableUpdate> targets = {{gw}, {gb}};
      recording.losses.push_back(model_->update(views, batch, targets).loss_sum);
      Part& part = parts.emplace_back();
      part.rows = static_cast<float>(n);
      for (std::size_t i = 0; i < gw.size(); ++i) part.gradient[keys[0][i]] = gw[i];
      part.gradient[kBias] = gb[0];
      all += part.rows;
      piece.offset += n;
      schedule_->commit(piece.epoch, n);
      if (piece.offset == piece.rows) place.piece.reset();
    }
    std::map<Key, float> mean;
    for (const Part& part : parts) {
      for (const auto& [key, g] : part.gradient) mean[key] += part.rows / all * g;
    }
    for (const auto& [key, g] : mean) {
      Row& row = rows_[key];
      optimizer_->apply({&row.value, &row.value, &row.state, &g, 1}, {});
    }
  }
  void score() {
    worker::BatchReader reader(data_.test);
    const auto batch = reader.read_plain(0, kTestRows);
    std::vector<std::vector<Key>> keys(2);
    model_->keys(batch, keys);
    auto& seen = recording.parameters.emplace_back(values(keys[0]));
    seen.push_back(rows_[kBias].value);
  }

  proto::JobSpec spec_;
  std::vector<Place> places_;
  worker::OpenedData data_;
  std::unique_ptr<worker::Model> model_;
  std::optional<server::ChunkSchedule> schedule_;
  std::unique_ptr<const server::Optimizer> optimizer_;
  std::map<Key, Row> rows_;
};

TEST_P(Bsp, IsAPlainLoopOverTheSameBatchesWithTheMeanGradient) {
  const std::uint32_t slots = GetParam();
  SimCluster cluster({.seed = 9, .slots = slots});
  const auto spec = bsp_job("recorded", write_data(cluster.folder(), kRows, kTestRows), slots);
  Serial serial(spec, cluster.folder() / "serial-cache", slots);
  serial.run();
  const auto there = train({.seed = 9, .slots = slots}, slots);
  std::sort(serial.recording.losses.begin(), serial.recording.losses.end());
  ASSERT_EQ(there.losses.size(), serial.recording.losses.size());
  ASSERT_EQ(there.parameters.size(), serial.recording.parameters.size());
  if (slots < 3) {  // halves are exact; with thirds the last bit may differ with how a compiler fuses multiply and add
    EXPECT_EQ(there.losses, serial.recording.losses);
    EXPECT_EQ(there.parameters, serial.recording.parameters);
  }
  for (std::size_t i = 0; i < there.losses.size(); ++i) ASSERT_NEAR(there.losses[i], serial.recording.losses[i], 1e-4) << i;
  for (std::size_t i = 0; i < there.parameters.size(); ++i) {
    ASSERT_EQ(there.parameters[i].size(), serial.recording.parameters[i].size());
    for (std::size_t k = 0; k < there.parameters[i].size(); ++k) ASSERT_NEAR(there.parameters[i][k], serial.recording.parameters[i][k], 1e-5) << k;
  }
}

void expect_near(const Outcome& a, const std::vector<std::vector<float>>& b, float bound) {
  ASSERT_EQ(a.parameters.size(), b.size());
  for (std::size_t i = 0; i < b.size(); ++i) {
    ASSERT_EQ(a.parameters[i].size(), b[i].size());
    for (std::size_t k = 0; k < b[i].size(); ++k) ASSERT_NEAR(a.parameters[i][k], b[i][k], bound) << i << " " << k;
  }
}

TEST_P(Bsp, OneLocalStepAveragedIsASharedStep) {
  const std::uint32_t slots = GetParam();
  const proto::OptimizerSpec sgd{"sgd", {{"lr", 0.3}}};
  const auto local = train({.seed = 3, .slots = slots}, slots, {.optimizer = sgd, .local_steps = 1});
  expect_near(local, train({.seed = 3, .slots = slots}, slots, {.optimizer = sgd}).parameters, 1e-5F);
  EXPECT_EQ(train({.seed = 4, .servers = 3, .slots = slots}, slots, {.optimizer = sgd, .drop = 0.02, .local_steps = 1}), local) << "the same bits here too";
}

TEST(BspLocalSteps, OfOneSlotAreAPlainLoop) {
  // adagrad: the servers' own, on the same batches. Values are pulled without their state for scoring, and with it for the next steps.
  for (const proto::OptimizerSpec& optimizer : {proto::OptimizerSpec{"sgd", {{"lr", 0.3}}}, proto::OptimizerSpec{"sgd", {}},
                                                proto::OptimizerSpec{"adagrad", {{"lr", 0.2}}}, proto::OptimizerSpec{"adagrad", {}}}) {
    SimCluster cluster({.seed = 9});
    auto spec = bsp_job("recorded", write_data(cluster.folder(), kRows, kTestRows), 1);
    spec.optimizer = optimizer;
    spec.batch = 5;  // two steps a lease
    spec.consistency.local_steps = 5;
    Serial serial(spec, cluster.folder() / "serial-cache", 1);
    serial.run();
    for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kSsp, proto::ConsistencyMode::kBsp}) {
      const auto there = train({.seed = 9, .lanes = 2, .slots = 1}, 1, {.optimizer = optimizer, .local_steps = 5, .mode = mode, .batch = 5});
      EXPECT_EQ(there.losses.size(), serial.recording.losses.size());
      expect_near(there, serial.recording.parameters, 1e-5F);
    }
  }
}

TEST(BspLocalSteps, SeveralSlotsLearnAsWell) {
  const auto few = train({.seed = 2, .slots = 3}, 3, {.optimizer = {"sgd", {{"lr", 0.3}}}, .local_steps = 5});
  EXPECT_LT(std::stod(few.validation), 0.4) << "ln 2 is where it begins";
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    const auto adagrad =
        train({.seed = 2, .servers = 2, .slots = 3}, 3, {.optimizer = {"adagrad", {{"lr", 0.2}}}, .drop = 0.02, .local_steps = 5, .mode = mode});
    EXPECT_LT(std::stod(adagrad.validation), 0.4);
  }
}

TEST(BspLostServer, FailsItsJobAndNothingHangs) {
  for (std::uint64_t seed = 1; seed < 5; ++seed) {
    SimCluster cluster({.seed = seed, .servers = 3, .lanes = 2});
    auto spec = bsp_job("softmax", write_data(cluster.folder(), 20000, 100), 2);
    cluster.submit({spec});
    cluster.run_for(1 + 0.1 * static_cast<double>(seed));
    cluster.kill("server-2");
    ASSERT_TRUE(cluster.run_to_end(120)) << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    if (j["state"] == "failed") { EXPECT_NE(j["reason"].get<std::string>().find("server-2"), std::string::npos) << j; }
  }
}

class BspFaults : public testing::TestWithParam<std::uint64_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, BspFaults, testing::Range<std::uint64_t>(1, 9));

TEST_P(BspFaults, LostRepeatedAndReorderedMessagesApplyEveryExampleExactlyOnce) {
  SimOptions options{.seed = GetParam(), .servers = 2, .lanes = 2, .workers = 2};
  options.faults.drop = options.faults.repeat = options.faults.reorder = 0.03;
  options.faults.delay_max = from_ms(2);
  SimCluster cluster(options);
  auto spec = bsp_job("counting", write_data(cluster.folder(), 1000, 100), 4);
  spec.optimizer = {"add", {}};
  cluster.submit({spec});
  ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 3000) << "seed " << GetParam();
}

TEST_P(BspFaults, ASlotKilledInTheMiddleOfAClockHoldsNobodyUpAndNothingIsAppliedTwice) {
  SimCluster cluster({.seed = GetParam(), .servers = 2, .workers = 2, .slots = 2});
  auto spec = bsp_job("counting", write_data(cluster.folder(), 20000, 100), 4);
  spec.optimizer = {"add", {}};
  cluster.submit({spec});
  for (int i = 0; i < 2000 && !(cluster.ps()["jobs"][0]["examples"].get<double>() > 2000); ++i) cluster.run_for(0.01);
  cluster.kill("worker-1");
  ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto j = cluster.ps()["jobs"][0];
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_EQ(j["examples"], 60000) << j;
  EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 60000) << "a batch that was pushed and not committed is never applied";
  EXPECT_EQ(j["redone_batches"], 0) << j;
}

TEST_P(BspFaults, LocalStepsApplyEveryExampleExactlyOnceUnderEveryMode) {
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kSsp, proto::ConsistencyMode::kBsp}) {
    SimOptions options{.seed = GetParam(), .servers = 2, .workers = 2};
    options.faults.drop = options.faults.repeat = options.faults.reorder = 0.03;
    options.faults.delay_max = from_ms(2);
    SimCluster cluster(options);
    auto spec = bsp_job("counting", write_data(cluster.folder(), 1000, 100), 4);
    spec.optimizer = {"sgd", {{"lr", 1}}};  // down by one an example
    spec.consistency.mode = mode;
    spec.consistency.local_steps = 3;
    cluster.submit({spec});
    ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
    const auto j = cluster.ps()["jobs"][0];
    EXPECT_EQ(j["state"], "done") << j;
    EXPECT_DOUBLE_EQ(j["metric"].get<double>(), -3000) << "seed " << GetParam();
    EXPECT_LE(j["step"].get<double>(), 80) << "three batches a step";
  }
}

TEST_P(BspFaults, SlotsThatComeAndGoLoseNothing) {
  SimCluster cluster({.seed = GetParam(), .servers = 2, .workers = 2, .slots = 2, .policy = GetParam() % 2 == 0 ? "fair" : "slaq"});
  const auto data = write_data(cluster.folder(), 4000, 100);
  auto spec = bsp_job("counting", data, 1);
  spec.optimizer = {"add", {}};
  spec.slots_min = 0, spec.slots_max = 4;
  auto other = spec, third = spec;
  other.name = "bsp-2", third.name = "asp";
  third.consistency = {};
  cluster.submit({spec, other, third, job("more", "logistic", data), job("yet-more", "logistic", data)});
  ASSERT_TRUE(cluster.run_to_end(900)) << "seed " << GetParam() << cluster.ps().dump(1);
  const auto status = cluster.ps();
  for (const auto& j : status["jobs"]) {
    EXPECT_EQ(j["state"], "done") << j;
    if (j["job"] == "bsp" || j["job"] == "bsp-2") { EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 12000) << j; }
  }
}

}  // namespace
}  // namespace sluice::test
