#include "proto/table_spec.h"

#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <vector>

#include "base/rng.h"

namespace sluice::proto {
namespace {

TableSpec dense(std::uint64_t rows, std::uint32_t cols) {
  TableSpec spec;
  spec.name = "w";
  spec.rows = rows;
  spec.cols = cols;
  return spec;
}

TEST(TableSpec, DenseShardsCoverTheTableOnce) {
  for (const auto& spec : {dense(1, 1), dense(784, 256), dense(kShardFloats, 1), dense(kShardFloats + 1, 1), dense(1, kShardFloats - 1), dense(1000, 1000)}) {
    std::uint64_t floats = 0;
    for (std::uint32_t s = 0; s < spec.shards(); ++s) {
      EXPECT_GT(spec.shard_floats(ShardId(s)), 0U);
      EXPECT_LE(spec.shard_floats(ShardId(s)), kShardFloats);
      floats += spec.shard_floats(ShardId(s));
    }
    EXPECT_EQ(floats, spec.floats());
    EXPECT_EQ(spec.shard_floats(ShardId(spec.shards())), 0U);
  }
}

TEST(TableSpec, SparseKeysFallEvenlyIntoTheirShards) {
  TableSpec spec = dense(1 << 20, 1);
  spec.kind = TableKind::kSparse;
  for (const std::uint32_t buckets : {1U, 2U, 16U}) {
    spec.buckets = buckets;
    EXPECT_EQ(spec.shards(), buckets);
    std::vector<int> hits(buckets);
    for (std::uint64_t key = 0; key < 16'000; ++key) {
      const auto shard = spec.shard_of(key);
      ASSERT_LT(shard.value, buckets);
      EXPECT_EQ(shard.value, buckets == 1 ? 0 : mix64(key) >> (64 - std::bit_width(buckets - 1)));
      ++hits[shard.value];
    }
    for (const int n : hits) EXPECT_NEAR(n, 16'000.0 / buckets, 160);
  }
}

TEST(TableSpec, ValidateRefusesWhatIsOutOfBounds) {
  EXPECT_TRUE(validate(dense(10, 10)));
  const auto refused = [](const std::function<void(TableSpec&)>& change) {
    TableSpec spec = dense(10, 10);
    change(spec);
    const auto result = validate(spec);
    return !result && result.error().code == Errc::kMalformed;
  };
  EXPECT_TRUE(refused([](auto& s) { s.name = "../x"; }));
  EXPECT_TRUE(refused([](auto& s) { s.id = TableId(kTablesMax); }));
  EXPECT_TRUE(refused([](auto& s) { s.rows = 0; }));
  EXPECT_TRUE(refused([](auto& s) { s.rows = kTableFloatsMax / 10 + 1; }));
  EXPECT_TRUE(refused([](auto& s) { s.rows = UINT64_MAX; }));
  EXPECT_TRUE(refused([](auto& s) { s.cols = 0; }));
  EXPECT_TRUE(refused([](auto& s) { s.cols = kTableWidthMax + 1; }));
  EXPECT_TRUE(refused([](auto& s) { s.buckets = 2; }));
  EXPECT_TRUE(refused([](auto& s) { s.kind = TableKind::kSparse; }));
  EXPECT_TRUE(refused([](auto& s) { s.kind = TableKind::kSparse, s.buckets = 3; }));
  EXPECT_TRUE(refused([](auto& s) { s.kind = static_cast<TableKind>(2); }));
  EXPECT_TRUE(refused([](auto& s) { s.init.kind = static_cast<InitKind>(3); }));
  EXPECT_TRUE(refused([](auto& s) { s.init.scale = -1; }));
  EXPECT_TRUE(refused([](auto& s) { s.optimizer.name = ""; }));
  EXPECT_TRUE(refused([](auto& s) { s.optimizer.numbers["lr"] = 1.0 / 0.0; }));
}

}  // namespace
}  // namespace sluice::proto
