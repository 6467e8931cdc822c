/// The client by itself: windows of pushes, gaps, abandoned numbers, sparse rows in key order, values that did not change.

#include "worker/client.h"

#include <gtest/gtest.h>

#include <numeric>

#include "worker/detail/fake_cluster.h"

namespace sluice::worker {
namespace {

constexpr JobId kJob{7};

class ClientTest : public testing::Test {
 protected:
  ClientTest() : cluster({.lanes = 2, .slots = 0}) { make_client(from_ms(2000)); }
  ~ClientTest() override { client.reset(); }

  void make_client(Duration deadline) {
    client.reset();
    poller = cluster.transport.poller();
    ClientOptions options;
    options.call_deadline = deadline;
    client.emplace(options, net::Runtime{cluster.clock, cluster.transport, cluster.executor, 1}, poller);
    client->set_incarnation(Incarnation(9));
    client->set_table(std::make_shared<const proto::SlotTable>(cluster.world.table));
  }
  void enter(std::uint64_t dense_rows, bool sparse) {
    std::vector<TableDecl> declared{{"w", proto::TableKind::kDense, dense_rows, 1, {}}};
    if (sparse) declared.push_back({"rows", proto::TableKind::kSparse, 1'000'000, 2, {}});
    proto::Envelope envelope;
    envelope.job = kJob;
    client->enter(envelope, table_specs(declared, 1, {"add", {}}));
  }
  /// Steps lanes and client until `done`.
  bool pump(const std::function<bool()>& done, double seconds = 5) {
    const Instant limit = cluster.clock.now() + from_seconds(seconds);
    while (!done() && cluster.clock.now() < limit) {
      (void)cluster.executor.run_until([] { return false; }, cluster.clock.now() + from_us(200));
      cluster.clock.advance(from_us(200));
      (void)client->step();
      (void)client->absorb();
      while (auto event = client->next()) events.push_back(std::move(*event));
    }
    return done();
  }
  template <class T>
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::count_if(events.begin(), events.end(), [](const ClientEvent& e) { return std::holds_alternative<T>(e); }));
  }
  std::uint64_t push(float value) {
    auto arena = client->gradients();
    std::fill(arena.floats().begin(), arena.floats().end(), value);
    std::vector<ShardUpdate> updates;
    client->split(std::move(arena), {}, {}, updates);
    const auto id = client->push(updates, 0);
    (void)client->flush();
    return id ? *id : 0;
  }

  fake::Cluster cluster;
  std::shared_ptr<net::Poller> poller;
  std::optional<Client> client;
  std::vector<ClientEvent> events;
};

/// A model knows memory by where it lies: nothing else may lie where its file was, while it may be asked for updates.
TEST_F(ClientTest, AFileThatCantBeLentFromKeepsItsPlace) {
  enter(1000, false);
  net::MemoryFile file;
  ASSERT_TRUE(file.create() && file.set_size(std::size_t{1} << 20));
  const auto first = reinterpret_cast<std::uintptr_t>(file.bytes().data());
  file.bytes()[7] = std::byte{9};
  client->use_gradients(std::move(file));
  const auto at = reinterpret_cast<std::uintptr_t>(client->gradients().bytes().data());
  EXPECT_TRUE(at < first || at >= first + (std::size_t{1} << 20)) << "this transport lends nothing";
  EXPECT_EQ(reinterpret_cast<const std::byte*>(first)[7], std::byte{9});
}

TEST_F(ClientTest, ManyPushesOnTheirWayOneLostAllAppliedInOrderOnce) {
  for (const int victim : {1, 2, 5, 8}) {
    cluster.world.shards.clear();
    cluster.world.created.clear();
    make_client(from_ms(5000));
    events.clear();
    enter(3, false);
    (void)push(0);
    ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
    int seen = 0;
    cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
      if (std::holds_alternative<proto::Push>(header.body) && ++seen == victim) return std::optional<proto::Body>();
      return std::nullopt;
    };
    for (int i = 1; i <= 8; ++i) EXPECT_NE(push(static_cast<float>(i)), 0U);
    const Instant begin = cluster.clock.now();
    ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 9; })) << victim;
    EXPECT_EQ(cluster.world.dense(kJob, TableId(0), ShardId(0))[2], 36) << victim;
    if (victim < 8) {
      EXPECT_LT((cluster.clock.now() - begin).ms(), 100) << "the gap is filled at once, not when the lost message's time is up";
      EXPECT_GT(cluster.world.gaps, 0U);
    }
    cluster.world.intercept = {};
  }
}

TEST_F(ClientTest, AShardHasABoundedNumberOfUnansweredPushes) {
  enter(3, false);
  cluster.world.intercept = [](std::uint32_t, const proto::Header&) { return std::optional<std::optional<proto::Body>>(std::optional<proto::Body>()); };
  for (std::uint32_t i = 0; i < proto::kUnansweredPushesMax; ++i) EXPECT_NE(push(1), 0U);
  EXPECT_EQ(push(1), 0U);
  cluster.world.intercept = {};
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == proto::kUnansweredPushesMax; }));
  EXPECT_NE(push(1), 0U);
}

TEST_F(ClientTest, NumbersThatWereAbandonedUnappliedAreUsedAgain) {
  enter(3, false);
  (void)push(1);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
  // Two pushes get lost; the client leaves the job without their answers and comes back.
  cluster.world.intercept = [](std::uint32_t, const proto::Header&) { return std::optional<std::optional<proto::Body>>(std::optional<proto::Body>()); };
  (void)push(10);
  (void)push(20);
  (void)pump([] { return false; }, 0.1);
  client->leave(0, 0, false);
  cluster.world.intercept = {};
  events.clear();
  enter(3, false);
  (void)push(100);
  (void)push(200);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 2; }));
  EXPECT_EQ(count<FailedEvent>(), 0U);
  EXPECT_EQ(cluster.world.dense(kJob, TableId(0), ShardId(0))[0], 301);
}

TEST_F(ClientTest, NumbersThatWereAbandonedButAppliedAreNotUsedAgain) {
  enter(3, false);
  (void)push(1);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
  (void)push(10);
  (void)cluster.executor.run_until([] { return false; }, cluster.clock.now() + from_ms(1));  // applied; the answer is not read
  client->leave(0, 0, false);
  events.clear();
  enter(3, false);
  (void)push(100);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
  EXPECT_EQ(cluster.world.dense(kJob, TableId(0), ShardId(0))[0], 111);
}

TEST_F(ClientTest, AShardThatForgotAcknowledgedPushesIsAFailureNotASilence) {
  enter(3, false);
  (void)push(1);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
  cluster.world.shards.begin()->second.last.clear();
  (void)push(2);
  ASSERT_TRUE(pump([&] { return count<FailedEvent>() == 1; }));
  EXPECT_EQ(std::get<FailedEvent>(events.back()).error.code, Errc::kInternal);
}

TEST_F(ClientTest, SparseRowsComeBackInTheOrderOfTheKeys) {
  enter(proto::kShardFloats + 5, true);
  std::vector<std::vector<Key>> keys(2);
  for (Key k = 0; k < 1000; ++k) keys[1].push_back(k * k * 977);
  std::vector<KeySet> sets(2);
  sets[1].set(client->layout().tables[1], keys[1]);
  std::vector<std::vector<float>> rows(2);
  for (const Key k : sets[1].keys()) rows[1].insert(rows[1].end(), {static_cast<float>(k % 1000), static_cast<float>(k % 77)});
  auto arena = client->gradients();
  std::iota(arena.floats().begin(), arena.floats().end(), 0.0F);
  std::vector<ShardUpdate> updates;
  client->split(std::move(arena), sets, rows, updates);
  ASSERT_TRUE(client->push(updates, 3));
  const auto pulled = client->pull(sets);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1 && count<PulledEvent>() == 1; }));
  EXPECT_EQ(std::get<PulledEvent>(events.back()).pull, pulled);
  for (std::size_t i = 0; i < sets[1].keys().size(); ++i) {
    ASSERT_EQ(sets[1].rows()[2 * i], static_cast<float>(sets[1].keys()[i] % 1000));
    ASSERT_EQ(sets[1].rows()[2 * i + 1], static_cast<float>(sets[1].keys()[i] % 77));
  }
  for (std::size_t i = 0; i < client->dense(0).size(); ++i) ASSERT_EQ(client->dense(0)[i], static_cast<float>(i));
  EXPECT_LE(cluster.world.pulls, 6U) << "eight buckets and two dense shards of two lanes share messages, those that lanes without the tables refused included";
}

TEST_F(ClientTest, WhatDidNotChangeIsNotSentAgain) {
  enter(2 * proto::kShardFloats, false);
  (void)push(1);
  ASSERT_TRUE(pump([&] { return count<PushedEvent>() == 1; }));
  (void)client->pull({});
  ASSERT_TRUE(pump([&] { return count<PulledEvent>() == 1; }));
  const auto before = cluster.world.pulls_modified;
  (void)client->pull({});
  ASSERT_TRUE(pump([&] { return count<PulledEvent>() == 2; }));
  EXPECT_EQ(cluster.world.pulls_modified, before);
  EXPECT_EQ(client->dense(0)[proto::kShardFloats], 1);
}

TEST_F(ClientTest, APullThatNobodyAnswersNamesTheLane) {
  enter(3, false);
  cluster.executor.kill("lane");
  (void)client->pull({});
  ASSERT_TRUE(pump([&] { return count<FailedEvent>() == 1; }, 3));
  const Error& error = std::get<FailedEvent>(events.back()).error;
  EXPECT_EQ(error.code, Errc::kTimedOut);
  EXPECT_NE(error.what.find("inproc://lane-"), std::string::npos) << error.what;
  EXPECT_NE(error.what.find("2 s"), std::string::npos) << error.what;
}

TEST_F(ClientTest, TimeTheCallerWasBusyCountsForNoDeadline) {
  int refusals = 0;
  cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
    if (!std::holds_alternative<proto::Pull>(header.body) || refusals++ > 0) return std::nullopt;
    return proto::Refused{proto::RefusalKind::kBehind, "", "", ""};
  };
  enter(3, false);
  (void)client->pull({});
  ASSERT_TRUE(pump([&] { return refusals > 0; }));
  cluster.clock.advance(from_seconds(30));
  client->was_busy(from_seconds(30));
  EXPECT_LE(client->next_timer(), cluster.clock.now() + from_ms(2000));
  ASSERT_TRUE(pump([&] { return count<PulledEvent>() == 1; }, 1));
  EXPECT_EQ(count<FailedEvent>(), 0U);
}

/// A lying lane: whatever it answers, the client fails the job or goes on; it never crashes, hangs or writes beyond its buffers (run under sanitizers).
TEST_F(ClientTest, AnswersThatMakeNoSenseAreFailuresInWords) {
  using Lie = std::function<std::optional<proto::Body>(const proto::Header&)>;
  const auto sections_of = [](const proto::Header& h) { return std::get<proto::Pull>(h.body).sections; };
  const std::vector<Lie> lies{
      [](const proto::Header&) { return proto::Done{}; },
      [](const proto::Header&) { return proto::PullReply{}; },
      [&](const proto::Header& h) {  // values that are not there
        auto s = sections_of(h);
        for (auto& one : s) one.count = 3;
        return proto::PullReply{s};
      },
      [&](const proto::Header& h) {  // another count
        auto s = sections_of(h);
        for (auto& one : s) one.count = 1'000'000;
        return proto::PullReply{s};
      },
      [&](const proto::Header& h) {  // another shard
        auto s = sections_of(h);
        for (auto& one : s) one.shard = ShardId(77), one.outcome = proto::Outcome::kNotModified;
        return proto::PullReply{s};
      },
      [&](const proto::Header& h) {
        auto s = sections_of(h);
        for (auto& one : s) one.outcome = proto::Outcome::kGap;
        return proto::PullReply{s};
      },
      [](const proto::Header&) {
        return proto::Refused{proto::RefusalKind::kWrongOwner, "", "", "garbage"};
      },
      [](const proto::Header&) {
        return proto::Refused{proto::RefusalKind::kBehind, "", "", ""};
      },
  };
  for (std::size_t i = 0; i < lies.size(); ++i) {
    make_client(from_ms(2000));
    events.clear();
    cluster.world.intercept = [&](std::uint32_t, const proto::Header& h) -> std::optional<std::optional<proto::Body>> {
      if (!std::holds_alternative<proto::Pull>(h.body)) return std::nullopt;
      return lies[i](h);
    };
    enter(3, false);
    (void)client->pull({});
    ASSERT_TRUE(pump([&] { return count<FailedEvent>() == 1; }, 4)) << i;
    (void)pump([] { return false; }, 0.5);
    EXPECT_EQ(count<FailedEvent>(), 1U) << i;
  }
}

TEST(Layout, ShardsCoverTheArenaWithoutOverlap) {
  std::vector<TableDecl> declared;
  for (const std::uint64_t rows : {1ULL, 7ULL, 65'536ULL, 65'537ULL, 200'704ULL, 3ULL}) declared.push_back({"t", proto::TableKind::kDense, rows, 1, {}});
  declared.push_back({"s", proto::TableKind::kSparse, 172'498, 45, {}});
  const Layout layout = make_layout(kJob, table_specs(declared, 5, {"sgd", {}}));
  std::uint64_t end = 0, floats = 0;
  for (const auto& shard : layout.dense) {
    EXPECT_GE(shard.first, end);
    EXPECT_LE(shard.first, end + 1) << "at most one float of padding";
    end = shard.first + shard.floats;
    floats += shard.floats;
  }
  EXPECT_LE(end, layout.arena_floats);
  EXPECT_EQ(floats, 1 + 7 + 65'536 + 65'537 + 200'704 + 3);
  EXPECT_EQ(layout.tables[6].buckets, 8U);
  EXPECT_EQ(layout.sparse_slots[6].size(), 8U);
  EXPECT_EQ(layout.index(TableId(6), ShardId(7)), layout.shards - 1);
}

TEST(Layout, BucketsAndChunksFollowTheirRules) {
  const auto buckets = [](std::uint64_t rows) {
    const std::vector<TableDecl> one{{"s", proto::TableKind::kSparse, rows, 1, {}}};
    return table_specs(one, 1, {})[0].buckets;
  };
  EXPECT_EQ(buckets(1), 8U);
  EXPECT_EQ(buckets(8 * 65536), 8U);
  EXPECT_EQ(buckets(8 * 65536 + 1), 16U);
  EXPECT_EQ(buckets(std::uint64_t{1} << 40), 1024U);
  EXPECT_EQ(chunk_rows(60'000, 128), 16U * 128);
  EXPECT_EQ(chunk_rows(6'400, 32), 10U * 32) << "twenty chunks";
  EXPECT_EQ(chunk_rows(100, 128), 128U);
  EXPECT_EQ(chunk_rows(1, 1'000'000), 1'000'000U);
}

TEST(KeySet, BucketsHoldEveryKeyOnceAndRowsGoBackToTheirPlaces) {
  proto::TableSpec spec;
  spec.kind = proto::TableKind::kSparse;
  spec.cols = 3;
  spec.buckets = 16;
  KeySet set;
  for (const std::size_t n : {0U, 1U, 500U}) {
    std::vector<Key> keys;
    for (std::size_t i = 0; i < n; ++i) keys.push_back(i * 31);
    set.set(spec, keys);
    std::vector<float> original(n * 3);
    std::iota(original.begin(), original.end(), 1.0F);
    std::size_t total = 0;
    for (std::uint32_t b = 0; b < set.buckets(); ++b) {
      for (const auto i : set.bucket(b)) EXPECT_EQ(spec.shard_of(set.keys()[i]).value, b);
      std::vector<std::byte> bytes(set.bucket(b).size() * 3 * sizeof(float));
      set.gather(b, original, bytes.data());
      set.scatter(b, bytes.data());
      total += set.bucket(b).size();
    }
    EXPECT_EQ(total, n);
    EXPECT_TRUE(std::equal(set.rows().begin(), set.rows().end(), original.begin(), original.end()));
  }
}

}  // namespace
}  // namespace sluice::worker
