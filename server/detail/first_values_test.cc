#include "server/detail/first_values.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "base/rng.h"
#include "proto/saved_cut.h"
#include "server/sparse_shard.h"

namespace sluice::server {
namespace {
namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::uint32_t kSavedFloats = proto::kShardFloats + 10, kSparseWidth = 3;

/// A dense table of two shards and a sparse one, as a job had them.
class FirstValuesTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    SeededRng rng(2);
    for (float& v : dense_) v = static_cast<float>(rng.uniform());
    for (int i = 0; i < 500; ++i) rows_[mix64(static_cast<std::uint64_t>(i))] = {static_cast<float>(i), 1, static_cast<float>(rng.uniform())};
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::vector<proto::TableSpec> tables(std::uint32_t buckets, const std::string& optimizer = "adagrad") {
    proto::TableSpec dense, sparse;
    dense.id = TableId(0), dense.name = "w", dense.rows = kSavedFloats, dense.cols = 1, dense.optimizer.name = optimizer;
    sparse.id = TableId(1), sparse.name = "v", sparse.kind = proto::TableKind::kSparse, sparse.rows = 1000, sparse.cols = kSparseWidth;
    sparse.buckets = buckets, sparse.optimizer.name = optimizer;
    return {dense, sparse};
  }
  /// A checkpoint of two servers: shards dealt out in turn.
  void write(std::uint32_t buckets) {
    const auto specs = tables(buckets);
    const auto optimizer = *make_optimizer(specs[0].optimizer);
    std::vector<std::unique_ptr<SparseShard>> shards;
    std::vector<std::shared_ptr<const SparseSnapshot>> snapshots;
    std::vector<float> state(kSavedFloats, 0.25F);
    proto::CutPart parts[2] = {{"cut-1", JobId(7), specs, {}, nullptr, nullptr}, {"cut-1", JobId(7), specs, {}, nullptr, nullptr}};
    parts[0].shards.push_back({TableId(0), ShardId(0), std::span(dense_).first(proto::kShardFloats), std::span(state).first(proto::kShardFloats), 9});
    parts[1].shards.push_back({TableId(0), ShardId(1), std::span(dense_).subspan(proto::kShardFloats), std::span(state).subspan(proto::kShardFloats), 9});
    for (std::uint32_t b = 0; b < buckets; ++b) {
      std::vector<Key> keys;
      std::vector<float> values, row_state;
      std::vector<std::uint64_t> counts;
      for (const auto& [key, row] : rows_) {
        if (specs[1].shard_of(key) != ShardId(b)) continue;
        keys.push_back(key), counts.push_back(key % 5);
        values.insert(values.end(), row.begin(), row.end());
        row_state.insert(row_state.end(), kSparseWidth, static_cast<float>(key % 7));
      }
      auto& shard = *shards.emplace_back(std::make_unique<SparseShard>(specs[1], ShardId(b), *optimizer));
      shard.restore(keys, values, row_state, counts);
      snapshots.push_back(shard.snapshot());
      parts[b % 2].shards.push_back({TableId(1), ShardId(b), {}, {}, 0, snapshots.back().get()});
    }
    proto::JobSpec spec;
    spec.name = "m", spec.model = "fm", spec.data.name = "d", spec.data.format = "libsvm", spec.data.train = {"/d/train"};
    const proto::SavedJob job{JobId(7), spec, "{}", 12, {"a", "b"}};
    const proto::SavedHome home;
    parts[1].home_job = &job, parts[1].home = &home;
    ASSERT_TRUE(proto::write_cut_part(folder_.string(), "a", parts[0]));
    ASSERT_TRUE(proto::write_cut_part(folder_.string(), "b", parts[1]));
  }
  [[nodiscard]] std::string words(const std::vector<proto::TableSpec>& specs, bool resume) const {
    const auto read = read_first_values({folder_.string(), resume}, specs, [](TableId, ShardId) { return true; });
    return read ? std::string() : read.error().what;
  }

  const fs::path folder_ = fs::temp_directory_path() / ("sluice-first-values-" + std::to_string(::getpid()));
  std::vector<float> dense_ = std::vector<float>(kSavedFloats);
  std::map<Key, std::vector<float>> rows_;
};

TEST_F(FirstValuesTest, EachLaneGetsItsOwnHoweverManyThereAreAndRowsGoToTheBucketsOfNow) {
  for (const auto& [before, now, lanes] : std::vector<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>>{{4, 4, 1}, {4, 16, 3}, {8, 1, 2}}) {
    write(before);
    const auto specs = tables(now);
    for (const bool resume : {true, false}) {
      std::size_t dense = 0, rows = 0;
      for (std::uint32_t lane = 0; lane < lanes; ++lane) {
        const auto owned = [&](TableId table, ShardId shard) { return (table.value + shard.value) % lanes == lane; };
        const auto read = read_first_values({folder_.string(), resume}, specs, owned);
        ASSERT_TRUE(read) << read.error().what;
        for (const auto& [at, shard] : *read) {
          ASSERT_TRUE(owned(at.first, at.second));
          if (at.first == TableId(0)) {
            const auto* first = dense_.data() + std::size_t{at.second.value} * proto::kShardFloats;
            ASSERT_EQ(shard.values, std::vector<float>(first, first + specs[0].shard_floats(at.second)));
            ASSERT_EQ(shard.state, resume ? std::vector<float>(shard.values.size(), 0.25F) : std::vector<float>());
            ASSERT_EQ(shard.updates, resume ? 9U : 0U) << "values only: a new optimizer";
            dense += shard.values.size();
            continue;
          }
          for (std::size_t i = 0; i < shard.keys.size(); ++i) {
            const Key key = shard.keys[i];
            ASSERT_EQ(specs[1].shard_of(key), at.second);
            for (std::size_t c = 0; c < kSparseWidth; ++c) ASSERT_EQ(shard.values[i * kSparseWidth + c], rows_.at(key)[c]);
            if (resume) { ASSERT_EQ(shard.state[i * kSparseWidth], static_cast<float>(key % 7)); }
            if (resume) { ASSERT_EQ(shard.counts[i], key % 5); }
          }
          if (!resume) { ASSERT_TRUE(shard.state.empty() && shard.counts.empty()); }
          rows += shard.keys.size();
        }
      }
      EXPECT_EQ(dense, kSavedFloats);
      EXPECT_EQ(rows, rows_.size());
    }
    fs::remove_all(folder_), fs::create_directories(folder_);
  }
}

TEST_F(FirstValuesTest, WhatDoesNotFitIsNamed) {
  write(4);
  EXPECT_EQ(words(tables(4), true), "");
  auto specs = tables(4);
  specs[0].rows += 1;
  EXPECT_THAT(words(specs, false), HasSubstr("table 'w' is 65546 × 1 in it and 65547 × 1 in the job"));
  specs = tables(4), specs[1].cols = 2;
  EXPECT_THAT(words(specs, false), HasSubstr("table 'v' is sparse, width 3 in it and sparse, width 2 in the job"));
  specs = tables(4), specs[1].name = "u";
  EXPECT_THAT(words(specs, false), HasSubstr("the job's table 'u' is not in it"));
  specs = tables(4), specs.pop_back();
  EXPECT_THAT(words(specs, false), HasSubstr("its table 'v' is not one of the job's"));
  EXPECT_THAT(words(tables(4, "adam"), true), HasSubstr("the optimizer's state of table 'w' is of another optimizer"));
  EXPECT_EQ(words(tables(4, "adam"), false), "") << "values only: any optimizer";
  specs = tables(4), specs[1].rows = 16;
  EXPECT_THAT(words(specs, false), HasSubstr("rows in bucket"));
}

TEST_F(FirstValuesTest, ValuesThatAreNotFiniteAreRefused) {
  dense_[proto::kShardFloats + 3] = NAN;
  write(4);
  EXPECT_THAT(words(tables(4), true), HasSubstr("table 'w' has values that are not finite"));
  dense_[proto::kShardFloats + 3] = 0;
  rows_.begin()->second[1] = INFINITY;
  write(4);
  EXPECT_THAT(words(tables(4), false), HasSubstr("table 'v' has values that are not finite"));
}

TEST_F(FirstValuesTest, WhatIsNotThereOrNoCheckpointIsNamed) {
  EXPECT_THAT(words(tables(4), true), HasSubstr("no part of a checkpoint is there"));
  EXPECT_THAT(words(tables(4), false), HasSubstr(folder_.string()));
  const auto home = read_home(folder_.string());
  EXPECT_FALSE(home);
}

}  // namespace
}  // namespace sluice::server
