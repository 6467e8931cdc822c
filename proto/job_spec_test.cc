#include "proto/job_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"

namespace sluice::proto {
namespace {

using ::testing::HasSubstr;

JobSpec example() {
  JobSpec spec;
  spec.name = "mlp-1";
  spec.model = "mlp";
  spec.params = R"({"hidden":[64, 32], "Ω":1})";
  spec.data = {
      "fashion", "idx", {"/d/images.gz", "/d/labels.gz"}, {"/d/ti", "/d/tl"}, 784, 3, LabelKind::kTargets, {"price", ";", "yes", "mean", {"zip", "Ω"}, {"id"}}};
  spec.optimizer = {"adam", {{"lr", 0.1}, {"beta1", 1.0 / 3}}};
  spec.consistency = {ConsistencyMode::kSsp, 4};
  spec.seed = UINT64_MAX;
  spec.weight = 2.5;
  spec.slots_min = 1;
  spec.slots_max = 2;
  spec.validation = {2, 0, "top-5"};
  spec.patience_epochs = 3;
  spec.stop_converged = true;
  spec.group = "search";
  spec.objective = Objective::kBest;
  spec.target = TargetSpec{"loss", 0.25, 60};
  spec.plugin = {"/d/libmine.so", UINT64_MAX, 1500, 4096};
  return spec;
}

TEST(JobSpec, RoundTripsThroughOneLineOfJson) {
  const std::string json = to_json(example());
  EXPECT_EQ(json.find('\n'), std::string::npos);
  EXPECT_EQ(job_spec_from_json(json), example());
}

TEST(JobSpec, APlugInsPathIsAbsolute) {
  auto spec = example();
  spec.plugin.path = "libmine.so";
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("plugin.path must be absolute"));
}

TEST(JobSpec, EveryConsistencyModeRoundTrips) {
  for (const auto mode : {ConsistencyMode::kAsp, ConsistencyMode::kSsp, ConsistencyMode::kBsp}) {
    auto spec = example();
    spec.consistency.mode = mode;
    EXPECT_EQ(job_spec_from_json(to_json(spec)), spec) << name_of(mode);
  }
}

TEST(JobSpec, GroupsAndTargetsAreChecked) {
  JobSpec spec = example();
  spec.target.reset();
  EXPECT_EQ(job_spec_from_json(to_json(spec)), spec);
  spec.group.clear();
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("best needs a group"));
  spec.objective = Objective::kEach;
  EXPECT_EQ(job_spec_from_json(to_json(spec)), spec);
  spec.target = TargetSpec{"loss", 0.25, -1};
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("by_seconds"));
}

TEST(JobSpec, LocalStepsAreForSgdOnlyAndAveragesForBspOnly) {
  JobSpec spec = example();
  spec.consistency = {ConsistencyMode::kBsp, 0, 8, LocalPush::kAverage};
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("local_steps needs optimizer sgd"));
  spec.optimizer = {"sgd", {{"lr", 0.1}}};
  EXPECT_EQ(job_spec_from_json(to_json(spec)), spec);
  EXPECT_EQ(spec.step_rows(), 8 * spec.batch);
  spec.optimizer.numbers["schedule.warmup"] = 10;
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("no schedule"));
  spec.optimizer.numbers.erase("schedule.warmup");
  spec.consistency.mode = ConsistencyMode::kAsp;
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("push: average needs mode: bsp"));
  spec.consistency.push = LocalPush::kDelta;
  EXPECT_EQ(job_spec_from_json(to_json(spec)), spec);
  spec.batch = 200'000;
  EXPECT_THAT(job_spec_from_json(to_json(spec)).error().what, HasSubstr("batch × local_steps is 1600000; at most 1000000"));
}

TEST(JobSpec, EveryFieldIsAskedForByName) {
  const auto whole = nlohmann::json::parse(to_json(example()));
  for (const auto& [key, value] : whole.items()) {
    auto cut = whole;
    cut.erase(key);
    const auto result = job_spec_from_json(cut.dump());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::kBadConfig);
    EXPECT_THAT(result.error().what, HasSubstr(key));
    auto wrong = whole;
    wrong[key] = nullptr;
    EXPECT_EQ(job_spec_from_json(wrong.dump()).has_value(), key == "target") << key << ": only a target may be none";
    if (!value.is_object()) continue;
    for (const auto& [inner, unused] : value.items()) {
      cut = whole;
      cut[key].erase(inner);
      const auto nested = job_spec_from_json(cut.dump());
      ASSERT_FALSE(nested);
      EXPECT_THAT(nested.error().what, HasSubstr(key + "." + inner));
    }
  }
}

std::string error_with(const char* key, const nlohmann::json& value) {
  auto json = nlohmann::json::parse(to_json(example()));
  json[nlohmann::json::json_pointer(key)] = value;
  const auto result = job_spec_from_json(json.dump());
  return result ? "" : result.error().what;
}

TEST(JobSpec, OutOfRangeAndUnknownFieldsAreNamed) {
  EXPECT_THAT(error_with("/batch", 0), HasSubstr("batch"));
  EXPECT_THAT(error_with("/batch", 1'000'001), HasSubstr("batch"));
  EXPECT_THAT(error_with("/batch", -1), HasSubstr("batch"));
  EXPECT_THAT(error_with("/batch", 1.5), HasSubstr("batch"));
  EXPECT_THAT(error_with("/weight", 0), HasSubstr("weight"));
  EXPECT_THAT(error_with("/slots_min", 3), HasSubstr("slots_min"));
  EXPECT_THAT(error_with("/name", "A/b"), HasSubstr("name"));
  EXPECT_THAT(error_with("/params", "[1]"), HasSubstr("params"));
  EXPECT_THAT(error_with("/params", "{"), HasSubstr("params"));
  EXPECT_THAT(error_with("/consistency/mode", "bsq"), HasSubstr("consistency.mode"));
  EXPECT_THAT(error_with("/data/train/0", 5), HasSubstr("data.train"));
  EXPECT_THAT(error_with("/data/labels", "numbers"), HasSubstr("data.labels must be one of classes, targets"));
  EXPECT_THAT(error_with("/data/held_out/share", 0.95), HasSubstr("data.held_out.share must be from 0 to 0.9"));
  EXPECT_THAT(error_with("/data/held_out/from", "first"), HasSubstr("data.held_out.from must be one of random, last"));
  EXPECT_THAT(error_with("/data/held_out/share", 0.1), HasSubstr("data.held_out is for data without test files"));
  EXPECT_THAT(error_with("/data/csv", 5), HasSubstr("data.csv"));
  EXPECT_THAT(error_with("/data/csv/missing", "drop"), HasSubstr("data.csv.missing must be one of refuse, zero, mean"));
  EXPECT_THAT(error_with("/data/csv/separator", ",,"), HasSubstr("data.csv.separator"));
  EXPECT_THAT(error_with("/data/csv/skip", "id"), HasSubstr("data.csv.skip must be a list"));
  EXPECT_THAT(error_with("/data/csv/quote", "'"), HasSubstr("quote"));
  EXPECT_THAT(error_with("/optimizer/numbers/lr", "fast"), HasSubstr("optimizer.numbers.lr"));
  EXPECT_THAT(error_with("/validation/every_steps", 5), HasSubstr("validation.every_steps must be 0 where every_epochs is not"));
  EXPECT_THAT(error_with("/validation/metric", "Top 5"), HasSubstr("validation.metric"));
  EXPECT_THAT(error_with("/btach", 5), HasSubstr("did you mean 'batch'"));
  EXPECT_THAT(error_with("/data/formt", 5), HasSubstr("did you mean 'format'"));
}

TEST(JobSpec, AnyTextIsReadOrRefused) {
  const std::string good = to_json(example());
  SeededRng rng(3);
  for (int i = 0; i < 4000; ++i) {
    std::string bad = good;
    for (std::uint64_t flips = 1 + rng.below(3); flips > 0; --flips) bad[rng.below(bad.size())] = static_cast<char>(rng.below(256));
    if (const auto result = job_spec_from_json(bad.substr(0, rng.below(2) == 0 ? bad.size() : rng.below(bad.size()))); !result) {
      EXPECT_EQ(result.error().code, Errc::kBadConfig);
    }
  }
  EXPECT_FALSE(job_spec_from_json(std::string(100'000, '[')));
}

}  // namespace
}  // namespace sluice::proto
