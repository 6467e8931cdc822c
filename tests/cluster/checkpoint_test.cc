/// Checkpoints of a whole cluster: a job that is restored, on whatever servers, goes on as if nothing had been; whatever gets lost, each example counts once.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/rng.h"
#include "base/temporary_file.h"
#include "proto/saved_cut.h"
#include "tests/cluster/sim_cluster.h"

namespace sluice::test {
namespace {

using testing::HasSubstr;
constexpr std::uint32_t kTrained = 1000, kHeldOut = 300, kPasses = 3;

/// Outlives the clusters: what they were trained on, and their checkpoints.
class Shared {
 public:
  Shared() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-checkpoint-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Shared() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// A folder for a checkpoint, as the verb makes it before it asks.
  [[nodiscard]] std::string side(const std::string& cut) const {
    const std::string out = (folder_ / cut).string();
    EXPECT_TRUE(make_private_folder(out).has_value());
    EXPECT_TRUE(write_file(out + "/checkpoint.request", cut).has_value());
    return out;
  }

 private:
  std::filesystem::path folder_;
};

/// As the verb does: asks, and waits until every job is saved or has failed. What it heard last.
nlohmann::json save(SimCluster& cluster, const Shared& shared, const std::string& cut, const std::vector<std::string>& jobs) {
  const auto begun = cluster.call("checkpoint", {{"checkpoint", cut}, {"folder", shared.side(cut)}, {"jobs", jobs}});
  if (begun.contains("refused")) return begun;
  for (int i = 0; i < 5000; ++i) {
    auto status = cluster.call("checkpoint_status", {{"checkpoint", cut}});
    if (status.value("done", false)) return status;
    cluster.run_for(0.01);
  }
  ADD_FAILURE() << "the checkpoint comes to no end: " << cluster.call("checkpoint_status", {{"checkpoint", cut}});
  return {};
}

/// Saves one job; its folder, or empty and a failed test.
std::string saved(SimCluster& cluster, const Shared& shared, const std::string& cut, const std::string& job) {
  const auto status = save(cluster, shared, cut, {job});
  if (!status.contains("jobs") || status["jobs"].size() != 1 || status["jobs"][0]["state"] != "saved") {
    ADD_FAILURE() << status;
    return {};
  }
  return fmt::format("{}/{}/job-{}", shared.folder().string(), cut, status["jobs"][0]["id"].get<std::uint64_t>());
}

/// As the verb does: the job's spec again, to go on from the folder.
void restore(SimCluster& cluster, const std::string& folder) {
  const auto cut = proto::Cut::open(folder);
  ASSERT_TRUE(cut.has_value()) << cut.error().what;
  auto spec = cut->job().spec;
  spec.start = {folder, true};
  nlohmann::json curve = nlohmann::json::array();
  for (const auto& p : cut->home().curve) curve.push_back({p.step, p.examples, p.seconds, p.loss, p.spread, p.weight});
  const auto answer = cluster.call("submit", {{"jobs", {nlohmann::json::parse(proto::to_json(spec))}}, {"curves", {{spec.name, curve}}}});
  ASSERT_FALSE(answer.contains("refused")) << answer;
}

nlohmann::json end_of(SimCluster& cluster) {
  EXPECT_TRUE(cluster.run_to_end(900)) << cluster.ps().dump(1);
  return cluster.ps()["jobs"][0];
}

void run_until_step(SimCluster& cluster, double step) {
  for (int i = 0; i < 100'000 && cluster.ps()["jobs"][0]["step"].get<double>() < step; ++i) cluster.run_for(0.001);
}

struct Went {
  std::vector<double> losses;
  std::vector<std::vector<float>> parameters;
  std::string validation;
};

Went went(SimCluster& cluster) {
  const auto j = end_of(cluster);
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_EQ(j["examples"], kPasses * kTrained) << j;
  EXPECT_EQ(j["redone_batches"], 0) << j;
  return {cluster.recording.losses, cluster.recording.parameters, j["validation_loss"].dump()};
}

proto::JobSpec bsp_of(const Shared& shared, std::uint32_t slots, const proto::OptimizerSpec& optimizer) {
  auto spec = job("bsp", "recorded", write_data(shared.folder(), kTrained, kHeldOut));
  spec.consistency = {proto::ConsistencyMode::kBsp, 0};
  spec.slots_min = spec.slots_max = slots;
  spec.optimizer = optimizer;
  return spec;
}

template <class T>
std::vector<T> last(const std::vector<T>& all, std::size_t n) {
  return {all.end() - static_cast<std::ptrdiff_t>(std::min(n, all.size())), all.end()};
}

std::vector<double> sorted(std::vector<double> losses) {
  std::sort(losses.begin(), losses.end());
  return losses;
}

/// What the restored job computed is what the whole one did from the cut on, to the last bit.
void expect_went_on(const Went& whole, const Went& rest, const std::string& folder, const std::string& where) {
  const auto cut = proto::Cut::open(folder);
  ASSERT_TRUE(cut.has_value()) << cut.error().what;
  const auto& home = cut->home();
  const std::size_t scorings = kPasses - home.epochs_evaluated + (home.evaluating ? 1 : 0);
  EXPECT_EQ(rest.validation, whole.validation) << where;
  EXPECT_EQ(rest.parameters, last(whole.parameters, scorings)) << where << " from step " << home.step;
  EXPECT_EQ(rest.losses.size(), whole.losses.size() - home.step) << where;
  // Slots of one clock compute in any order, but clock after clock.
  EXPECT_EQ(sorted(rest.losses), sorted(last(whole.losses, rest.losses.size()))) << where << " from step " << home.step;
}

class BspRestored : public testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Slots, BspRestored, testing::Values(1, 2, 3));

TEST_P(BspRestored, GoesOnToTheLastBitOnAnyNumberOfServersWhateverTheNetworkDoes) {
  const std::uint32_t slots = GetParam();
  const std::vector<proto::OptimizerSpec> optimizers = {
      {"adagrad", {{"lr", 0.2}}}, {"adam", {{"lr", 0.05}}}, {"momentum", {{"lr", 0.1}, {"momentum", 0.9}}}, {"sgd", {{"lr", 0.3}}}};
  std::size_t in_a_lease = 0, scoring = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const std::string where = fmt::format("seed {}, {} slots", seed, slots);
    Shared shared;
    const auto spec = bsp_of(shared, slots, optimizers[seed % optimizers.size()]);
    SimOptions options{.seed = seed, .servers = 1 + static_cast<std::uint32_t>(seed % 3), .lanes = 1 + static_cast<std::uint32_t>(seed % 2), .slots = slots};
    options.faults.delay_max = from_ms(3);
    options.faults.drop = options.faults.repeat = options.faults.reorder = seed % 2 == 0 ? 0.02 : 0;
    SimCluster whole(options);
    whole.submit({spec});
    SeededRng rng(mix64(seed, slots));
    run_until_step(whole, static_cast<double>(rng.below(kPasses * kTrained / 20)));
    const std::string first = saved(whole, shared, "first", "bsp");
    ASSERT_FALSE(first.empty()) << where;
    const Went all = went(whole);
    EXPECT_EQ(all.losses.size(), kPasses * kTrained / 20) << where;
    {
      SimCluster never_saved({.seed = seed + 100, .slots = slots});
      never_saved.submit({spec});
      const Went plain = went(never_saved);
      EXPECT_EQ(plain.parameters, all.parameters) << "a checkpoint changes nothing; " << where;
      EXPECT_EQ(sorted(plain.losses), sorted(all.losses)) << where;
    }
    const auto cut = proto::Cut::open(first);
    ASSERT_TRUE(cut.has_value()) << cut.error().what;
    in_a_lease += std::any_of(cut->home().leases.begin(), cut->home().leases.end(), [](const auto& lease) { return lease && lease->offset > 0; });
    scoring += cut->home().evaluating;

    options.seed += 50;
    options.servers = 1 + static_cast<std::uint32_t>((seed + 1) % 4);
    options.workers = slots, options.slots = 1;
    SimCluster again(options);
    restore(again, first);
    // Once more, from the restored one.
    const std::uint64_t left = kPasses * kTrained / 20 - cut->home().step;
    run_until_step(again, static_cast<double>(cut->home().step + rng.below(left + 1) / 2));
    const auto status = save(again, shared, "second", {"bsp"});
    const Went rest = went(again);
    expect_went_on(all, rest, first, where);
    if (!status.contains("jobs") || status["jobs"][0]["state"] != "saved") continue;  // it had ended, or not begun
    const std::string second = fmt::format("{}/second/job-{}", shared.folder().string(), status["jobs"][0]["id"].get<std::uint64_t>());
    SimCluster thrice({.seed = seed + 99, .servers = 2, .lanes = 2, .slots = slots});
    restore(thrice, second);
    expect_went_on(all, went(thrice), second, where + ", saved twice");
  }
  EXPECT_GT(in_a_lease, 2U) << "no cut in the middle of leases: the test shows little";
  RecordProperty("cuts_while_scoring", static_cast<int>(scoring));
}

/// AdaGrad's squares are in the shards as ever, though the slots take the steps.
TEST_P(BspRestored, LocalStepsWithAdagradGoOnToTheLastBit) {
  const std::uint32_t slots = GetParam();
  Shared shared;
  auto spec = bsp_of(shared, slots, {"adagrad", {{"lr", 0.2}}});
  spec.batch = 5;
  spec.consistency.local_steps = 4;
  spec.consistency.push = proto::LocalPush::kAverage;
  SimCluster whole({.seed = slots, .servers = 2, .slots = slots});
  whole.submit({spec});
  run_until_step(whole, kPasses * kTrained / 20 / 2);
  const std::string folder = saved(whole, shared, "local", "bsp");
  ASSERT_FALSE(folder.empty());
  const Went all = went(whole);
  SimCluster again({.seed = 9, .servers = 3, .slots = slots});
  restore(again, folder);
  const Went rest = went(again);
  EXPECT_LT(rest.losses.size(), all.losses.size()) << "it went on where it was";
  EXPECT_EQ(rest.validation, all.validation);
  ASSERT_FALSE(rest.parameters.empty());
  EXPECT_EQ(rest.parameters.back(), all.parameters.back());
}

constexpr proto::ConsistencySpec kRestoredModes[] = {{proto::ConsistencyMode::kAsp, 0}, {proto::ConsistencyMode::kSsp, 1}, {proto::ConsistencyMode::kBsp, 0}};

class Restored : public testing::TestWithParam<std::uint64_t> {
 protected:
  Shared shared_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, Restored, testing::Range<std::uint64_t>(1, 13));

class CheckpointTest : public testing::Test {
 protected:
  Shared shared_;
};

/// Lost, repeated, reordered and late messages.
SimOptions faulty(std::uint64_t seed) {
  SimOptions options{
      .seed = seed, .servers = 1 + static_cast<std::uint32_t>(seed % 3), .lanes = 1 + static_cast<std::uint32_t>(seed / 3 % 2), .workers = 2, .slots = 2};
  options.faults.drop = options.faults.repeat = options.faults.reorder = 0.03;
  options.faults.delay_max = from_ms(2);
  return options;
}

TEST_P(Restored, EveryExampleCountsOnceBeforeTheCutOrAfterIt) {
  const std::uint64_t seed = GetParam();
  auto spec = job("counting", "counting", write_data(shared_.folder(), kTrained, kHeldOut));
  spec.optimizer = {"add", {}};
  spec.consistency = kRestoredModes[seed % 3];
  SimCluster cluster(faulty(seed));
  cluster.submit({spec});
  run_until_step(cluster, static_cast<double>(10 + seed * 9));
  const std::string folder = saved(cluster, shared_, "cut", "counting");
  ASSERT_FALSE(folder.empty());
  const auto expect_all = [&](SimCluster& in, const char* where) {
    const auto j = end_of(in);
    EXPECT_EQ(j["state"], "done") << j << where;
    EXPECT_EQ(j["examples"], kPasses * kTrained) << j << where;
    EXPECT_DOUBLE_EQ(j["metric"].get<double>(), kPasses * kTrained) << where << ", seed " << seed;
    EXPECT_EQ(j["redone_batches"], 0) << j;
  };
  expect_all(cluster, "the job that was saved");
  SimOptions other = faulty(seed + 1);
  other.workers = 1 + static_cast<std::uint32_t>(seed % 4);
  SimCluster again(other);
  restore(again, folder);
  expect_all(again, "the restored one");
  const auto cut = proto::Cut::open(folder);
  ASSERT_TRUE(cut.has_value());
  EXPECT_GT(cut->home().step, 0U);
  EXPECT_LT(cut->home().step, kPasses * kTrained / 20);
}

TEST_P(Restored, PassesWithAnEndGoOnWhereTheyWere) {
  const std::uint64_t seed = GetParam();
  auto spec = job("phased", "phased", write_data(shared_.folder(), 100, 20));
  spec.optimizer = {};
  spec.consistency = kRestoredModes[seed % 3];
  spec.epochs = 40;
  SimCluster cluster(faulty(seed));
  cluster.submit({spec});
  for (int i = 0; i < 100'000 && cluster.recording.phase_ends < 3 + seed; ++i) cluster.run_for(0.0005);  // in the middle of an end, at best
  cluster.run_for(0.002 * static_cast<double>(seed % 5));
  const std::string folder = saved(cluster, shared_, "cut", "phased");
  ASSERT_FALSE(folder.empty());
  const auto expect_all = [&](SimCluster& in, const char* where) {
    const auto j = end_of(in);
    EXPECT_EQ(j["state"], "done") << j << where;
    EXPECT_EQ(j["examples"], 4000) << j << where;
    EXPECT_DOUBLE_EQ(j["metric"].get<double>(), 4000) << where << ", seed " << seed;
    EXPECT_DOUBLE_EQ(j["validation_loss"].get<double>(), 1) << "parameters of two phases met; " << where << ", seed " << seed;
  };
  expect_all(cluster, "the job that was saved");
  SimCluster again(faulty(seed + 1));
  restore(again, folder);
  expect_all(again, "the restored one");
  const auto cut = proto::Cut::open(folder);
  ASSERT_TRUE(cut.has_value());
  EXPECT_GE(cut->home().phases_done + 1, 3 + seed) << "ends that were computed are applied, or begin anew";
  EXPECT_EQ(again.recording.phase_ends, 40 - cut->home().phases_done) << "none is computed twice, none is left out";
}

TEST_P(Restored, AWorkerThatDiesMeanwhileHoldsNothingUp) {
  const std::uint64_t seed = GetParam();
  auto spec = job("counting", "counting", write_data(shared_.folder(), 20 * kTrained, kHeldOut));
  spec.optimizer = {"add", {}};
  spec.consistency = kRestoredModes[seed % 3];
  SimOptions options{.seed = seed, .servers = 2, .workers = 2, .slots = 2};
  options.faults.delay_max = from_ms(3);
  SimCluster cluster(options);
  cluster.submit({spec});
  run_until_step(cluster, 100);
  ASSERT_FALSE(cluster.call("checkpoint", {{"checkpoint", "cut"}, {"folder", shared_.side("cut")}, {"jobs", {"counting"}}}).contains("refused"));
  cluster.run_for(0.0005 * static_cast<double>(seed % 4));
  cluster.kill("worker-1");
  auto status = nlohmann::json::object();
  for (int i = 0; i < 5000 && !status.value("done", false); ++i) cluster.run_for(0.01), status = cluster.call("checkpoint_status", {{"checkpoint", "cut"}});
  ASSERT_EQ(status["jobs"][0]["state"], "saved") << status;
  EXPECT_LT(status["jobs"][0]["pause_ms"].get<double>(), 2500) << "the dead are taken out after 0.8 s";
  const bool bsp = spec.consistency.mode == proto::ConsistencyMode::kBsp;
  const auto expect_all = [&](SimCluster& in, const char* where) {
    const auto j = end_of(in);
    EXPECT_EQ(j["state"], "done") << j << where;
    EXPECT_GE(j["metric"].get<double>(), kPasses * 20 * kTrained) << where;
    EXPECT_LE(j["metric"].get<double>(), kPasses * 20 * kTrained + (bsp ? 0 : 2 * 20)) << "a batch of each dead slot; " << where;
  };
  expect_all(cluster, "the job that was saved");
  SimCluster again({.seed = seed + 1});
  restore(again, fmt::format("{}/cut/job-{}", shared_.folder().string(), status["jobs"][0]["id"].get<std::uint64_t>()));
  expect_all(again, "the restored one");
}

TEST_F(CheckpointTest, AllJobsEachAtItsOwnMoment) {
  const auto data = write_data(shared_.folder(), 4 * kTrained, kHeldOut);
  auto counting = job("counting", "counting", data), phases = job("phased", "phased", data), last = job("waits", "softmax", data);
  counting.optimizer = {"add", {}}, phases.optimizer = {};
  phases.consistency = {proto::ConsistencyMode::kBsp, 0};
  SimCluster cluster({.seed = 3, .servers = 3, .policy = "slaq"});
  cluster.submit({counting, phases, job("plain", "logistic", data)});
  for (int i = 0; i < 100'000; ++i) {
    const auto status = cluster.ps();
    if (std::all_of(status["jobs"].begin(), status["jobs"].end(), [](const auto& j) { return j["step"] > 5; })) break;
    cluster.run_for(0.001);
  }
  cluster.call("pause", {{"jobs", {"plain"}}});
  last.slots_min = 50;  // never has so many: it can't have begun
  cluster.submit({last});
  const auto status = save(cluster, shared_, "all", {});
  ASSERT_EQ(status["jobs"].size(), 4U) << status;
  SimCluster again({.seed = 4, .servers = 1});
  for (const auto& entry : status["jobs"]) {
    if (entry["job"] == "waits") {
      EXPECT_EQ(entry["state"], "not_begun") << entry;
      EXPECT_EQ(
          proto::job_spec_from_json(cluster.call("checkpoint_status", {{"checkpoint", "all"}, {"job", "waits"}})["jobs"][0]["spec"].get<std::string>())->name,
          "waits");
      continue;
    }
    EXPECT_EQ(entry["state"], "saved") << entry;
    restore(again, fmt::format("{}/all/job-{}", shared_.folder().string(), entry["id"].get<std::uint64_t>()));
  }
  ASSERT_TRUE(again.run_to_end(900)) << again.ps().dump(1);
  const auto ended = again.ps();
  ASSERT_EQ(ended["jobs"].size(), 3U);
  for (const auto& j : ended["jobs"]) {
    EXPECT_EQ(j["state"], "done") << j;
    EXPECT_EQ(j["examples"], kPasses * 4 * kTrained) << j;
    if (j["job"] != "plain") { EXPECT_DOUBLE_EQ(j["metric"].get<double>(), kPasses * 4 * kTrained) << j; }
  }
}

TEST_F(CheckpointTest, WhatCanNotBeSavedIsNamedAndTheJobGoesOn) {
  const auto data = write_data(shared_.folder(), 4 * kTrained, kHeldOut);
  SimCluster cluster({.seed = 3});
  const auto refused = [&](const nlohmann::json& arguments) { return cluster.call("checkpoint", arguments).value("refused", "it was not"); };
  const std::string folder = shared_.side("cut");
  EXPECT_THAT(refused({{"checkpoint", "cut"}, {"folder", folder}, {"jobs", nlohmann::json::array()}}), HasSubstr("no job lives"));
  auto spec = job("counting", "counting", data);
  spec.optimizer = {"add", {}};
  cluster.submit({spec, job("short", "logistic", data)});
  EXPECT_THAT(refused({{"checkpoint", "cut"}, {"folder", folder}, {"jobs", {"countin"}}}), HasSubstr("unknown job 'countin'; did you mean 'counting'"));
  EXPECT_THAT(refused({{"checkpoint", "cut"}, {"folder", "here"}, {"jobs", {"counting"}}}), HasSubstr("absolute"));
  EXPECT_THAT(refused({{"checkpoint", "../cut"}, {"folder", folder}, {"jobs", {"counting"}}}), HasSubstr("name"));
  run_until_step(cluster, 30);
  cluster.call("cancel", {{"jobs", {"short"}}});
  EXPECT_THAT(refused({{"checkpoint", "cut"}, {"folder", folder}, {"jobs", {"short"}}}), HasSubstr("job 'short' is cancelled"));

  // A folder that servers don't see, or that nobody asked for: files appear nowhere.
  const std::string elsewhere = (shared_.folder() / "elsewhere").string();
  const auto failed_with = [&](const std::string& cut, const std::string& to) {
    const auto begun = cluster.call("checkpoint", {{"checkpoint", cut}, {"folder", to}, {"jobs", {"counting"}}});
    EXPECT_FALSE(begun.contains("refused")) << begun;
    auto status = nlohmann::json::object();
    for (int i = 0; i < 5000 && !status.value("done", false); ++i) cluster.run_for(0.01), status = cluster.call("checkpoint_status", {{"checkpoint", cut}});
    EXPECT_EQ(status["jobs"][0]["state"], "failed") << status;
    return status["jobs"][0].value("reason", "");
  };
  EXPECT_THAT(failed_with("a", elsewhere), HasSubstr("checkpoint.request is not there"));
  EXPECT_FALSE(std::filesystem::exists(elsewhere));
  EXPECT_THAT(failed_with("b", folder), HasSubstr("is of another checkpoint"));
  EXPECT_TRUE(write_file(folder + "/job-1", "in the way").has_value());
  EXPECT_THAT(failed_with("cut", folder), HasSubstr("cannot make the folder"));
  const auto j = end_of(cluster);
  EXPECT_EQ(j["state"], "done") << j;
  EXPECT_DOUBLE_EQ(j["metric"].get<double>(), kPasses * 4 * kTrained) << "training went on";
}

TEST_F(CheckpointTest, AServerThatIsLostMeanwhileIsNamed) {
  SimCluster cluster({.seed = 5, .servers = 3});
  auto spec = job("counting", "counting", write_data(shared_.folder(), 4 * kTrained, kHeldOut));
  spec.optimizer = {"add", {}};
  cluster.submit({spec});
  run_until_step(cluster, 30);
  cluster.kill("server-2");
  const auto status = save(cluster, shared_, "cut", {"counting"});
  ASSERT_TRUE(status.contains("jobs")) << status;
  EXPECT_EQ(status["jobs"][0]["state"], "failed") << status;
  EXPECT_THAT(status["jobs"][0]["reason"].get<std::string>(), testing::AnyOf(HasSubstr("server-2"), HasSubstr("other servers did not answer"))) << status;
}

TEST_F(CheckpointTest, OtherDataModelsShapesAndDamageFailTheJobInWords) {
  const auto data = write_data(shared_.folder(), kTrained, kHeldOut);
  SimCluster cluster({.seed = 3, .servers = 2});
  cluster.submit({job("plain", "softmax", data)});
  run_until_step(cluster, 40);
  const std::string folder = saved(cluster, shared_, "cut", "plain");
  ASSERT_FALSE(folder.empty());
  const auto good = proto::Cut::open(folder)->job().spec;
  std::filesystem::create_directory(shared_.folder() / "other");
  const auto other = write_data(shared_.folder() / "other", kTrained / 2, kHeldOut);
  std::uint64_t seed = 10;
  const auto reason = [&](const proto::JobSpec& spec) {
    SimCluster again({.seed = ++seed, .servers = 3});
    again.submit({spec});
    const auto j = end_of(again);
    EXPECT_EQ(j["state"], "failed") << j;
    EXPECT_EQ(j["step"], 0) << "it began with something else: " << j;
    return j["reason"].get<std::string>();
  };
  auto spec = good;
  spec.start = {folder, true};
  spec.data = other;
  EXPECT_THAT(reason(spec), HasSubstr("the data differs from what the checkpoint was trained on: 500 + 300 rows"));
  spec.data = data;
  spec.batch = 500;  // larger chunks
  EXPECT_THAT(reason(spec), HasSubstr("rows in chunks of"));
  spec.batch = good.batch;
  spec.optimizer.numbers["lr"] = 0.5;
  EXPECT_THAT(reason(spec), HasSubstr("has optimizer adagrad there and adagrad here, or other numbers of it"));
  spec.optimizer = good.optimizer;
  spec.model = "logistic";
  EXPECT_THAT(reason(spec), HasSubstr("the checkpoint is of another model: table 'w' is sparse, 20 rows of 2 in 8 buckets there and"));
  for (const bool resume : {true, false}) {
    spec.model = "logistic";
    spec.start = {folder, resume};
    EXPECT_THAT(reason(spec), testing::AnyOf(HasSubstr("another model"), HasSubstr("is not in it"), HasSubstr("in it and")));
    spec.model = "softmax";
    spec.start = {(shared_.folder() / "nowhere").string(), resume};
    EXPECT_THAT(reason(spec), HasSubstr("nowhere"));
  }
  spec.start = {folder, true};
  for (const auto& part : std::filesystem::directory_iterator(folder)) {
    std::fstream file(part.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-3, std::ios::end);
    file.put('\x5a');
  }
  for (const bool resume : {true, false}) {
    spec.start.resume = resume;
    EXPECT_THAT(reason(spec), HasSubstr("damaged")) << "it loads what is not whole";
  }
}

/// Values of a checkpoint as a finished job's file has them.
std::string as_model(const std::string& folder, const std::string& to) {
  const auto cut = proto::Cut::open(folder);
  proto::SavedModel model;
  model.job = cut->job();
  for (const auto& spec : cut->tables()) {
    auto& table = model.tables.emplace_back();
    table.spec = spec;
    std::map<Key, std::vector<float>> sorted;
    for (std::uint32_t s = 0; s < spec.shards(); ++s) {
      if (spec.kind == proto::TableKind::kDense) {
        const auto dense = cut->dense(spec.id, ShardId(s));
        table.values.insert(table.values.end(), dense->values.begin(), dense->values.end());
      } else if (const auto rows = cut->rows(spec.id, ShardId(s))) {
        for (std::size_t i = 0; i < rows->keys.size(); ++i) {
          const auto row = rows->values.subspan(i * spec.cols, spec.cols);
          sorted[rows->keys[i]] = {row.begin(), row.end()};
        }
      }
    }
    for (const auto& [key, row] : sorted) {
      table.keys.push_back(key);
      table.values.insert(table.values.end(), row.begin(), row.end());
    }
  }
  EXPECT_TRUE(proto::write_model(to, model).has_value());
  return to;
}

TEST_F(CheckpointTest, InitFromTakesTheValuesAndNothingElse) {
  const auto data = write_data(shared_.folder(), kTrained, kHeldOut);
  SimCluster cluster({.seed = 3, .servers = 2});
  auto spec = job("recorded", "recorded", data);
  spec.epochs = 8;
  cluster.submit({spec});
  run_until_step(cluster, 200);
  const std::string folder = saved(cluster, shared_, "cut", "recorded");
  ASSERT_FALSE(folder.empty());
  const double first_then = cluster.recording.losses.front() / 20, last_then = cluster.recording.losses[190] / 20;
  ASSERT_GT(first_then, 2 * last_then) << "it learnt too little for this test";
  for (const std::string& from : {folder, as_model(folder, (shared_.folder() / "m.safetensors").string())}) {
    for (const std::uint32_t servers : {1, 3}) {
      SimCluster again({.seed = 7, .servers = servers});
      auto next = job("next", "recorded", data);
      next.start = {from, false};
      next.optimizer = {"adam", {{"lr", 0.001}}};  // another one: its state is fresh
      next.consistency = kRestoredModes[servers % 3];
      again.submit({next});
      const auto j = end_of(again);
      ASSERT_EQ(j["state"], "done") << j;
      EXPECT_EQ(j["examples"], kPasses * kTrained) << "a new job, from its first example on";
      EXPECT_LT(again.recording.losses.front() / 20, 0.6 * first_then) << "it began with the other job's values";
    }
  }
  // Rows of keys that both have, and the first values of those that the file does not have.
  SimCluster plain({.seed = 7});
  plain.submit({job("next", "recorded", data)});
  EXPECT_EQ(end_of(plain)["state"], "done");
  EXPECT_NEAR(plain.recording.losses.front() / 20, first_then, 1e-6);
}

}  // namespace
}  // namespace sluice::test
