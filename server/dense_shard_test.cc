#include "server/dense_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/rng.h"
#include "net/inproc_transport.h"

namespace sluice::server {
namespace {

using proto::PushKind;
using testing::HasSubstr;

proto::TableSpec dense_table(std::uint64_t rows, std::uint32_t cols, proto::OptimizerSpec optimizer = {"add", {}}) {
  proto::TableSpec spec;
  spec.id = TableId(2), spec.name = "w", spec.rows = rows, spec.cols = cols, spec.seed = 7;
  spec.init = {proto::InitKind::kUniform, 0.5F};
  spec.optimizer = std::move(optimizer);
  return spec;
}

Bytes bytes_of(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }
std::vector<float> floats_of_frame(const net::Frame& frame) {
  std::vector<float> out(frame.size() / sizeof(float));
  std::memcpy(out.data(), frame.data(), frame.size());
  return out;
}
std::vector<float> copy(const DenseShard& shard) { return {shard.values().begin(), shard.values().end()}; }

class DenseShardTest : public testing::Test {
 protected:
  std::unique_ptr<const Optimizer> add = *make_optimizer({"add", {}});
  std::unique_ptr<const Optimizer> adam = *make_optimizer({"adam", {}});
  SimClock clock;
  net::InprocTransport transport{clock};
  BufferPool pool{transport};
};

TEST_F(DenseShardTest, FirstValuesDependOnSeedTableAndShardOnly) {
  const auto spec = dense_table(3, proto::kShardFloats);
  DenseShard a(spec, ShardId(1), *add, pool), again(spec, ShardId(1), *add, pool), other(spec, ShardId(2), *add, pool);
  EXPECT_EQ(copy(a), copy(again));
  EXPECT_NE(copy(a), copy(other));
  auto reseeded = spec;
  reseeded.seed = 8;
  EXPECT_NE(copy(a), copy(DenseShard(reseeded, ShardId(1), *add, pool)));
}

TEST_F(DenseShardTest, FirstValuesFollowTheirDistribution) {
  auto spec = dense_table(1, proto::kShardFloats);
  const auto moments = [&] {
    DenseShard shard(spec, ShardId(0), *add, pool);
    double sum = 0, squares = 0;
    for (const float x : shard.values()) sum += double{x}, squares += double{x} * double{x};
    const double n = static_cast<double>(shard.floats());
    return std::pair(sum / n, std::sqrt(squares / n));
  };
  EXPECT_NEAR(moments().first, 0, 0.005);
  EXPECT_NEAR(moments().second, 0.5 / std::sqrt(3.0), 0.005);
  const DenseShard uniform(spec, ShardId(0), *add, pool);
  for (const float x : uniform.values()) ASSERT_TRUE(x >= -0.5F && x < 0.5F);
  spec.init = {proto::InitKind::kNormal, 2.0F};
  EXPECT_NEAR(moments().first, 0, 0.03);
  EXPECT_NEAR(moments().second, 2.0, 0.03);
  spec.init = {};
  EXPECT_EQ(moments(), std::pair(0.0, 0.0));
}

TEST_F(DenseShardTest, TheLastShardIsShort) {
  const auto two = dense_table(2, 40'000);
  EXPECT_EQ(DenseShard(two, ShardId(0), *add, pool).floats(), proto::kShardFloats);
  EXPECT_EQ(DenseShard(two, ShardId(1), *add, pool).floats(), 80'000 - proto::kShardFloats);
}

TEST_F(DenseShardTest, ASharedPullNeverChangesWhateverUpdatesCome) {
  const auto spec = dense_table(1, 1000);
  DenseShard shard(spec, ShardId(0), *adam, pool);
  DenseShard unshared(spec, ShardId(0), *adam, pool);
  SeededRng rng(3);
  std::vector<std::pair<net::Frame, std::vector<float>>> pulls;
  for (std::uint32_t step = 0; step < 200; ++step) {
    std::vector<float> g(1000);
    for (float& x : g) x = static_cast<float>(rng.uniform() - 0.5);
    ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(g), step));
    ASSERT_TRUE(unshared.apply(PushKind::kGradient, bytes_of(g), step));
    ASSERT_EQ(copy(shard), copy(unshared));  // in place and out of place agree
    if (rng.below(3) == 0) pulls.emplace_back(shard.share(), copy(shard));
    if (!pulls.empty() && rng.below(4) == 0) pulls.erase(pulls.begin() + static_cast<std::ptrdiff_t>(rng.below(pulls.size())));
    for (const auto& [frame, values] : pulls) ASSERT_EQ(floats_of_frame(frame), values);
  }
}

TEST_F(DenseShardTest, PullingDoesNotCopyAndReadBuffersAreRecycled) {
  DenseShard shard(dense_table(1, 1000), ShardId(0), *add, pool);
  const std::vector<float> ones(1000, 1.0F);
  EXPECT_EQ(shard.share().data(), reinterpret_cast<const std::byte*>(shard.values().data()));
  for (int i = 0; i < 100; ++i) {
    const net::Frame pulled = shard.share();
    ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(ones), 0));
  }
  EXPECT_EQ(pool.bytes(), 1000 * sizeof(float)) << "one spare, whatever the number of pulls";
  pool.trim(0);
  EXPECT_EQ(pool.bytes(), 0);
}

TEST_F(DenseShardTest, WithoutReadersUpdatesStayInPlace) {
  DenseShard shard(dense_table(1, 1000), ShardId(0), *add, pool);
  const float* before = shard.values().data();
  { const net::Frame pulled = shard.share(); }
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(std::vector<float>(1000, 1.0F)), 0));
  EXPECT_EQ(shard.values().data(), before);
  EXPECT_EQ(pool.bytes(), 0);
}

TEST_F(DenseShardTest, ARefusedUpdateChangesNothing) {
  const auto spec = dense_table(1, 100);
  DenseShard shard(spec, ShardId(0), *adam, pool), twin(spec, ShardId(0), *adam, pool);
  std::vector<float> bad(100, 1.0F);
  bad[63] = std::nanf("");
  const auto refused = shard.apply(PushKind::kGradient, bytes_of(bad), 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what, "float 63 of the update is nan");
  EXPECT_FALSE(shard.apply(PushKind::kGradient, bytes_of(std::vector<float>(99, 1.0F)), 0));
  EXPECT_FALSE(shard.apply(PushKind::kGradient, {}, 0));
  EXPECT_FALSE(shard.apply(PushKind::kAverage, bytes_of(std::vector<float>(100, 1.0F)), 0));
  EXPECT_EQ(shard.version(), 1);
  EXPECT_EQ(copy(shard), copy(twin));
  const std::vector<float> good(100, 0.5F);  // state and the count of updates are untouched too
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(good), 0));
  ASSERT_TRUE(twin.apply(PushKind::kGradient, bytes_of(good), 0));
  EXPECT_EQ(copy(shard), copy(twin));
  EXPECT_EQ(shard.version(), 2);
}

TEST_F(DenseShardTest, ADeltaIsAddedWhateverTheOptimizer) {
  DenseShard shard(dense_table(1, 10), ShardId(0), *adam, pool);
  const auto before = copy(shard);
  ASSERT_TRUE(shard.apply(PushKind::kDelta, bytes_of(std::vector<float>(10, 2.0F)), 0));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(shard.values()[i], before[i] + 2.0F);
  EXPECT_EQ(shard.version(), 2);
}

TEST_F(DenseShardTest, StateThatAddsUpIsReadAndAddedBehindTheValuesWhileOthersReadThem) {
  const auto adagrad = *make_optimizer({"adagrad", {}});
  DenseShard shard(dense_table(1, 3, {"adagrad", {}}), ShardId(0), *adagrad, pool);
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(std::vector<float>{1, 2, 3}), 0));
  const auto before = copy(shard);
  const net::Frame reader = shard.share();
  const auto snapshot = shard.snapshot();
  std::vector<float> both(6);
  shard.read_with_state(both);
  EXPECT_EQ(both, (std::vector<float>{before[0], before[1], before[2], 1, 4, 9}));
  ASSERT_TRUE(shard.apply(PushKind::kDelta, bytes_of(std::vector<float>{1, 1, 1, 2, 0, 5}), 0, true));
  shard.read_with_state(both);
  EXPECT_EQ(both, (std::vector<float>{before[0] + 1, before[1] + 1, before[2] + 1, 3, 4, 14}));
  EXPECT_EQ(floats_of_frame(reader), before);
  EXPECT_EQ(snapshot.state.get()[0], 1);
  EXPECT_FALSE(shard.apply(PushKind::kDelta, bytes_of(std::vector<float>(3, 1.0F)), 0, true));
  EXPECT_FALSE(shard.apply(PushKind::kGradient, bytes_of(std::vector<float>(6, 1.0F)), 0, true));
  DenseShard moments(dense_table(1, 3), ShardId(0), *adam, pool);
  EXPECT_FALSE(moments.apply(PushKind::kDelta, bytes_of(std::vector<float>(9, 1.0F)), 0, true)) << "adam's moments are no sums";
}

TEST_F(DenseShardTest, TrimmingThePoolFreesOnlyWhatNobodyReads) {
  const auto make = [this] { return std::make_shared<ValueBuffer>(transport.allocate(400)); };
  auto read = make();
  const net::Frame frame = ValueBuffer::share(read);
  pool.give(std::move(read));
  pool.give(make());
  pool.trim(0);
  EXPECT_EQ(pool.bytes(), 400);
  EXPECT_NE(reinterpret_cast<const std::byte*>(pool.take(100)->data()), frame.data());
}

/// A shard pushed to at random; what a snapshot said when it was taken, and what it says later.
TEST_F(DenseShardTest, ASnapshotKeepsItsMomentAndAShardThatIsRestoredFromItGoesOnToTheLastBit) {
  for (const std::string& name : builtin_optimizers().names()) {
    const auto optimizer = *make_optimizer({name, {}});
    const auto spec = dense_table(3, 70, {name, {}});
    DenseShard shard(spec, ShardId(0), *optimizer, pool);
    SeededRng rng(7);
    const auto random = [&] {
      std::vector<float> update(shard.floats());
      for (float& x : update) x = static_cast<float>(rng.uniform()) - 0.5F;
      return update;
    };
    const auto push = [&](DenseShard& to, const std::vector<float>& update, std::uint32_t step) {
      ASSERT_TRUE(to.apply(PushKind::kGradient, bytes_of(update), step)) << name;
    };
    struct Kept {
      DenseSnapshot snapshot;
      std::vector<float> values, state;
      std::uint32_t step;
    };
    std::vector<Kept> kept;
    std::vector<std::vector<float>> updates;
    for (std::uint32_t step = 0; step < 60; ++step) {
      if (rng.below(4) == 0) {
        auto snapshot = shard.snapshot();
        auto values = floats_of_frame(snapshot.values);
        ASSERT_EQ(values, copy(shard));
        std::vector<float> state(snapshot.state.get(), snapshot.state.get() + snapshot.state_floats);
        EXPECT_EQ(state.size(), optimizer->state_floats(shard.floats()));
        EXPECT_EQ(snapshot.updates, step);
        kept.push_back({std::move(snapshot), std::move(values), std::move(state), step});
      }
      if (rng.below(3) == 0) kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(rng.below(kept.size() + 1)));  // readers go
      updates.push_back(random());
      push(shard, updates.back(), step);
    }
    for (const Kept& one : kept) {
      ASSERT_EQ(floats_of_frame(one.snapshot.values), one.values) << name << ": a push changed what was shared";
      ASSERT_EQ(std::vector<float>(one.snapshot.state.get(), one.snapshot.state.get() + one.snapshot.state_floats), one.state) << name;
      DenseShard again(spec, ShardId(0), *optimizer, pool);
      again.restore(one.values, one.state, one.snapshot.updates);
      for (std::uint32_t step = one.step; step < updates.size(); ++step) push(again, updates[step], step);
      ASSERT_EQ(copy(again), copy(shard)) << name << " from step " << one.step;
    }
  }
}

TEST_F(DenseShardTest, ValuesWithoutStateBeginAfresh) {
  const auto spec = dense_table(1, 10, {"adam", {}});
  DenseShard trained(spec, ShardId(0), *adam, pool), fresh(spec, ShardId(0), *adam, pool), from(spec, ShardId(0), *adam, pool);
  const std::vector<float> g(10, 0.5F);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(trained.apply(PushKind::kGradient, bytes_of(g), 0));
  const auto before = copy(trained), first = copy(fresh);
  from.restore(before, {}, 0);
  EXPECT_EQ(copy(from), before);
  ASSERT_TRUE(from.apply(PushKind::kGradient, bytes_of(g), 0));
  ASSERT_TRUE(fresh.apply(PushKind::kGradient, bytes_of(g), 0));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_FLOAT_EQ(from.values()[i] - before[i], fresh.values()[i] - first[i]) << "the first step of a new optimizer";
}

}  // namespace
}  // namespace sluice::server
