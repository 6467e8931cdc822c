#include "server/sparse_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/rng.h"

namespace sluice::server {
namespace {

using proto::PushKind;
using testing::HasSubstr;

proto::TableSpec sparse_table(std::uint64_t rows, std::uint32_t width, std::uint32_t buckets = 1) {
  proto::TableSpec spec;
  spec.id = TableId(1), spec.name = "w", spec.kind = proto::TableKind::kSparse, spec.rows = rows, spec.cols = width, spec.buckets = buckets, spec.seed = 7;
  spec.init = {proto::InitKind::kUniform, 0.5F};
  return spec;
}

template <class T>
Bytes bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
std::vector<float> read(const SparseShard& shard, const std::vector<Key>& keys) {
  std::vector<float> out(keys.size() * shard.width());
  EXPECT_TRUE(shard.read(bytes_of(keys), out));
  return out;
}

class SparseShardTest : public testing::Test {
 protected:
  std::unique_ptr<const Optimizer> add = *make_optimizer({"add", {}});
  std::unique_ptr<const Optimizer> adam = *make_optimizer({"adam", {}});
  std::unique_ptr<const Optimizer> adagrad = *make_optimizer({"adagrad", {}});
};

/// Two slots take AdaGrad's steps on rows of their own and push what changed in values and squares: both are added up, rows that nobody has yet too.
TEST_F(SparseShardTest, WhatSlotsAddToTheStateOfTheirOwnCopiesAddsUp) {
  const auto spec = sparse_table(1 << 20, 2);
  SparseShard shard(spec, ShardId(0), *adagrad), first(spec, ShardId(0), *adagrad);
  const std::vector<Key> keys{3, 5};
  const std::vector<float> g{1, 2, 3, 4};
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{3}), bytes_of(std::vector<float>{1, 2}), 0));
  ASSERT_EQ(shard.row_floats(true), 4U);
  ASSERT_EQ(shard.row_floats(false), 2U);
  std::vector<float> before(8);
  ASSERT_TRUE(shard.read(bytes_of(keys), before, true));
  const auto values = read(shard, keys);
  EXPECT_EQ(before, (std::vector<float>{values[0], values[1], 1, 4, values[2], values[3], 0, 0})) << "each row's state behind its values";
  std::vector<float> change(8);
  for (std::size_t r = 0; r < 2; ++r) {
    std::vector<float> row(before.begin() + static_cast<std::ptrdiff_t>(4 * r), before.begin() + static_cast<std::ptrdiff_t>(4 * r + 4));
    adagrad->apply({row.data(), row.data(), row.data() + 2, g.data() + 2 * r, 2}, {1, 0});
    for (std::size_t i = 0; i < 4; ++i) change[4 * r + i] = row[i] - before[4 * r + i];
  }
  for (int slot = 1; slot <= 2; ++slot) {
    ASSERT_TRUE(shard.apply(PushKind::kDelta, bytes_of(keys), bytes_of(change), 0, true));
    std::vector<float> after(8);
    ASSERT_TRUE(shard.read(bytes_of(keys), after, true));
    for (std::size_t i = 0; i < 8; ++i) EXPECT_FLOAT_EQ(after[i], before[i] + static_cast<float>(slot) * change[i]) << i;
  }
  EXPECT_EQ(shard.rows(), 2U);
  // What the servers' own steps go on from.
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{5}), bytes_of(std::vector<float>{0, 1}), 0));
  std::vector<float> last(4);
  ASSERT_TRUE(shard.read(bytes_of(std::vector<Key>{5}), last, true));
  EXPECT_FLOAT_EQ(last[2], 18);
  EXPECT_FLOAT_EQ(last[3], 33);
}

TEST_F(SparseShardTest, StateThatDoesNotAddUpIsRefusedAndSoAreOtherSizes) {
  const auto spec = sparse_table(1 << 20, 2);
  const std::vector<Key> keys{3};
  SparseShard sums(spec, ShardId(0), *adagrad), moments(spec, ShardId(0), *adam), plain(spec, ShardId(0), *add);
  EXPECT_FALSE(moments.apply(PushKind::kDelta, bytes_of(keys), bytes_of(std::vector<float>(6, 1.0F)), 0, true));
  EXPECT_FALSE(plain.apply(PushKind::kDelta, bytes_of(keys), bytes_of(std::vector<float>(2, 1.0F)), 0, true));
  EXPECT_FALSE(sums.apply(PushKind::kGradient, bytes_of(keys), bytes_of(std::vector<float>(4, 1.0F)), 0, true));
  EXPECT_FALSE(sums.apply(PushKind::kDelta, bytes_of(keys), bytes_of(std::vector<float>(2, 1.0F)), 0, true));
  EXPECT_FALSE(sums.apply(PushKind::kDelta, bytes_of(keys), bytes_of(std::vector<float>(4, 1.0F)), 0));
  EXPECT_EQ(sums.rows() + moments.rows() + plain.rows(), 0U);
  EXPECT_TRUE(sums.apply(PushKind::kDelta, bytes_of(keys), bytes_of(std::vector<float>(4, 1.0F)), 0, true));
}

TEST_F(SparseShardTest, AgreesWithAPlainMapOverRandomPushesAndPulls) {
  const auto spec = sparse_table(1 << 20, 3);
  SparseShard shard(spec, ShardId(0), *add);
  SparseShard untouched(spec, ShardId(0), *add);
  std::unordered_map<Key, std::vector<float>> model;
  SeededRng rng(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<Key> keys(rng.below(200));
    for (Key& key : keys) key = rng.below(2) == 0 ? rng.below(5000) : mix64(rng.below(5000));  // repeats within a push happen
    std::vector<float> update(keys.size() * 3);
    for (float& x : update) x = static_cast<float>(rng.below(100));
    ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(keys), bytes_of(update), 0));
    for (std::size_t i = 0; i < keys.size(); ++i) {
      auto [it, fresh] = model.try_emplace(keys[i]);
      if (fresh) it->second = read(untouched, {keys[i]});
      for (std::size_t c = 0; c < 3; ++c) it->second[c] += update[i * 3 + c];
    }
  }
  EXPECT_EQ(shard.rows(), model.size());
  EXPECT_EQ(shard.version(), 301);
  for (const auto& [key, row] : model) ASSERT_EQ(read(shard, {key}), row) << key;
}

TEST_F(SparseShardTest, ARowLostAndMadeAgainIsTheSameWhateverTheOrderAndShards) {
  const auto one = sparse_table(1000, 4), four = sparse_table(1000, 4, 4);
  SparseShard whole(one, ShardId(0), *add);
  const std::vector<float> nothing(4, 0.0F);
  for (Key key = 0; key < 100; ++key) {
    SparseShard part(four, four.shard_of(key), *add);
    const auto first = read(part, {key});
    ASSERT_TRUE(whole.apply(PushKind::kGradient, bytes_of(std::vector<Key>{99 - key}), bytes_of(nothing), 0));
    EXPECT_EQ(read(whole, {key}), first);
  }
}

TEST_F(SparseShardTest, PullingMakesNoRows) {
  const auto spec = sparse_table(10, 2);
  SparseShard shard(spec, ShardId(0), *add);
  std::vector<Key> keys(1000);
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = i;
  EXPECT_EQ(read(shard, keys).size(), 2000);
  EXPECT_EQ(shard.rows(), 0);
}

TEST_F(SparseShardTest, AtMostFortyBytesARowOverValuesAndStateAtEverySize) {
  for (const std::uint32_t width : {1U, 2U, 45U}) {
    for (const Optimizer* optimizer : {add.get(), adagrad.get(), adam.get()}) {
      const auto spec = sparse_table(1 << 20, width);
      SparseShard shard(spec, ShardId(0), *optimizer);
      const std::size_t slack = 64 * 1024 + 64 * 8;  // the slab being filled, the first index
      for (Key key = 0; key < 20'000; ++key) {
        ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{key}), bytes_of(std::vector<float>(width, 1.0F)), 0));
        const std::size_t payload = shard.rows() * (width + optimizer->state_floats(width)) * sizeof(float);
        ASSERT_LE(shard.bytes(), payload + 40 * shard.rows() + slack) << shard.rows();
      }
    }
  }
}

TEST_F(SparseShardTest, FullRefusesTheWholeUpdateAndOldRowsStillLearn) {
  const auto spec = sparse_table(3, 1);
  SparseShard shard(spec, ShardId(0), *add);
  EXPECT_EQ(shard.rows_max(), 3);
  const auto push = [&](std::vector<Key> keys) { return shard.apply(PushKind::kGradient, bytes_of(keys), bytes_of(std::vector<float>(keys.size(), 1.0F)), 0); };
  ASSERT_TRUE(push({1, 2}));
  const auto before = read(shard, {1, 2, 3, 4});
  const auto refused = push({1, 3, 4});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kFull);
  EXPECT_EQ(read(shard, {1, 2, 3, 4}), before);
  ASSERT_TRUE(push({3, 3, 1, 1, 1, 3}));  // one new key, however often it comes
  EXPECT_EQ(shard.rows(), 3);
  EXPECT_EQ(read(shard, {3})[0], before[2] + 3);
  EXPECT_FALSE(push({5}));
  EXPECT_TRUE(push({1, 2, 3}));
}

TEST_F(SparseShardTest, ATableDeclaredForNKeysTakesAnyNKeysOverItsShards) {
  for (const std::uint32_t buckets : {1U, 16U, 64U}) {
    constexpr std::uint64_t kKeys = 20'000;
    const auto spec = sparse_table(kKeys, 1, buckets);
    std::vector<std::size_t> used(buckets);
    for (Key key = 0; key < kKeys; ++key) ++used[spec.shard_of(key).value];
    std::size_t all = 0;
    for (std::uint32_t b = 0; b < buckets; ++b) {
      const std::size_t max = SparseShard(spec, ShardId(b), *add).rows_max();
      EXPECT_LE(used[b], max);
      all += max;
    }
    EXPECT_LE(static_cast<double>(all), 1.5 * kKeys + 16.0 * buckets);
  }
}

TEST_F(SparseShardTest, ARefusedUpdateChangesNothingAndNamesTheKey) {
  const auto spec = sparse_table(1000, 2, 2);
  Key mine = 0, theirs = 0;
  while (spec.shard_of(mine) != ShardId(0)) ++mine;
  while (spec.shard_of(theirs) != ShardId(1)) ++theirs;
  SparseShard shard(spec, ShardId(0), *adam);
  std::vector<float> bad{1.0F, 1.0F, 1.0F, -INFINITY};
  const auto nan = shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{mine, mine}), bytes_of(bad), 0);
  ASSERT_FALSE(nan);
  EXPECT_EQ(nan.error().what, "float 1 of the update for key " + std::to_string(mine) + " is -inf");
  const auto other = shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{mine, theirs}), bytes_of(std::vector<float>(4, 1.0F)), 0);
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().what, HasSubstr("belongs to shard 1, not 0"));
  EXPECT_FALSE(shard.apply(PushKind::kGradient, bytes_of(std::vector<Key>{mine}), bytes_of(std::vector<float>(3, 1.0F)), 0));
  std::vector<float> out(2);
  EXPECT_FALSE(shard.read(bytes_of(std::vector<Key>{theirs}), out));
  EXPECT_EQ(shard.rows(), 0);
  EXPECT_EQ(shard.version(), 1);
}

/// Adds, and at its first row changes what it was told to: as a sender would that writes to the keys it has lent while they are used.
class Meddler final : public Optimizer {
 public:
  explicit Meddler(std::vector<Key>& keys, Key other) : keys_(keys), other_(other) {}
  [[nodiscard]] std::size_t state_floats(std::size_t) const override { return 0; }
  void apply(const UpdateSpan& span, UpdateInfo) const override {
    std::fill(keys_.begin(), keys_.end(), other_);
    for (std::size_t i = 0; i < span.n; ++i) span.out[i] = span.in[i] + span.update[i];
  }

 private:
  std::vector<Key>& keys_;
  Key other_;
};

TEST_F(SparseShardTest, KeysThatChangeAfterTheyWereCheckedAreNotUsed) {
  const auto spec = sparse_table(10'000, 1, 2);
  std::vector<Key> asked;
  Key theirs = 0;
  while (spec.shard_of(theirs) != ShardId(1)) ++theirs;
  for (Key key = 0; asked.size() < 500; ++key) {
    if (spec.shard_of(key) == ShardId(0)) asked.push_back(key);
  }
  std::vector<Key> lent = asked;
  const Meddler meddler(lent, theirs);
  SparseShard shard(spec, ShardId(0), meddler);
  const std::vector<float> before = read(shard, asked);
  ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(lent), bytes_of(std::vector<float>(asked.size(), 1.0F)), 0));
  EXPECT_EQ(shard.rows(), asked.size()) << "a row of another shard's key was made";
  const std::vector<float> after = read(shard, asked);
  for (std::size_t i = 0; i < asked.size(); ++i) ASSERT_EQ(after[i], before[i] + 1) << "key " << asked[i];
}

TEST_F(SparseShardTest, EachRowHasItsOwnStateAndCountOfUpdates) {
  const auto spec = sparse_table(1000, 2);
  SparseShard together(spec, ShardId(0), *adam), late(spec, ShardId(0), *adam);
  const std::vector<float> g(2, 0.5F);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(together.apply(PushKind::kGradient, bytes_of(std::vector<Key>{1}), bytes_of(g), 0));
  ASSERT_TRUE(together.apply(PushKind::kGradient, bytes_of(std::vector<Key>{2}), bytes_of(g), 0));
  ASSERT_TRUE(late.apply(PushKind::kGradient, bytes_of(std::vector<Key>{2}), bytes_of(g), 0));
  EXPECT_EQ(read(together, {2}), read(late, {2})) << "bias correction is a row's own";
}

TEST_F(SparseShardTest, UnalignedBytesAreTheSameAsAligned) {
  const auto spec = sparse_table(1000, 3);
  SparseShard a(spec, ShardId(0), *add), b(spec, ShardId(0), *add);
  const std::vector<Key> keys{9, 8, 7, 9};
  const std::vector<float> update{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<std::byte> frame(1 + 32 + 1 + 48);
  std::memcpy(frame.data() + 1, keys.data(), 32);
  std::memcpy(frame.data() + 34, update.data(), 48);
  ASSERT_TRUE(a.apply(PushKind::kGradient, bytes_of(keys), bytes_of(update), 0));
  ASSERT_TRUE(b.apply(PushKind::kGradient, Bytes(frame).subspan(1, 32), Bytes(frame).subspan(34), 0));
  EXPECT_EQ(read(a, keys), read(b, keys));
}

/// Keys, values, state and counts, by key.
struct AllRows {
  std::vector<Key> keys;
  std::vector<float> values, state;
  std::vector<std::uint64_t> counts;
  friend bool operator==(const AllRows&, const AllRows&) = default;
};
AllRows all_rows(const SparseSnapshot& from, std::size_t width) {
  AllRows out{std::vector<Key>(from.rows()), std::vector<float>(from.rows() * width), std::vector<float>(from.rows() * from.state_floats()),
              std::vector<std::uint64_t>(from.rows())};
  for (std::size_t first = 0; first < from.rows(); first += 100) {  // in pieces, as files are written
    const std::size_t n = std::min<std::size_t>(100, from.rows() - first);
    from.copy(first, n,
              {out.keys.data() + first, out.counts.data() + first, out.values.data() + first * width, out.state.data() + first * from.state_floats()});
  }
  return out;
}

TEST_F(SparseShardTest, ASnapshotKeepsItsMomentAndAShardThatIsRestoredFromItGoesOnToTheLastBit) {
  for (const std::string& name : builtin_optimizers().names()) {
    const auto optimizer = *make_optimizer({name, {}});
    for (const std::uint32_t width : {1U, 5U}) {
      const auto spec = sparse_table(1 << 16, width);
      SparseShard shard(spec, ShardId(0), *optimizer);
      SeededRng rng(width);
      struct Push {
        std::vector<Key> keys;
        std::vector<float> update;
      };
      const auto random = [&] {
        Push push{std::vector<Key>(1 + rng.below(300)), {}};
        for (Key& key : push.keys) key = mix64(rng.below(3000));
        push.update.resize(push.keys.size() * width);
        for (float& x : push.update) x = static_cast<float>(rng.uniform()) - 0.5F;
        return push;
      };
      struct Kept {
        std::shared_ptr<const SparseSnapshot> snapshot;
        AllRows then;
        std::uint32_t step;
      };
      std::vector<Kept> kept;
      std::vector<Push> pushes;
      for (std::uint32_t step = 0; step < 60; ++step) {
        if (rng.below(4) == 0) {
          auto snapshot = shard.snapshot();
          auto then = all_rows(*snapshot, width);
          ASSERT_EQ(read(shard, then.keys), then.values);
          kept.push_back({std::move(snapshot), std::move(then), step});
        }
        if (rng.below(3) == 0) kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(rng.below(kept.size() + 1)));  // readers go
        pushes.push_back(random());
        ASSERT_TRUE(shard.apply(PushKind::kGradient, bytes_of(pushes.back().keys), bytes_of(pushes.back().update), step));
      }
      const auto end = all_rows(*shard.snapshot(), width);
      for (const Kept& one : kept) {
        ASSERT_EQ(all_rows(*one.snapshot, width), one.then) << name << ": a push changed what was shared";
        SparseShard again(spec, ShardId(0), *optimizer);
        again.restore(one.then.keys, one.then.values, one.then.state, one.then.counts);
        for (std::uint32_t step = one.step; step < pushes.size(); ++step)
          ASSERT_TRUE(again.apply(PushKind::kGradient, bytes_of(pushes[step].keys), bytes_of(pushes[step].update), step));
        ASSERT_EQ(all_rows(*again.snapshot(), width), end) << name << " from step " << one.step;
      }
    }
  }
}

}  // namespace
}  // namespace sluice::server
