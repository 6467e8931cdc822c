/// The counting model: every push adds known integers through lanes whose messages get lost, repeated, reordered and delayed, while clients die. At the end the
/// sums are exactly the acknowledged pushes of the living, each once; of a dead client's unacknowledged pushes each is in at most once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {

constexpr std::uint32_t kDenseFloats = 100;  // small: what is counted are messages, thousands of them
constexpr std::uint32_t kBuckets = 4;
constexpr std::uint32_t kClients = 4;

std::vector<proto::TableSpec> tables() { return {dense_spec(0, kDenseFloats), sparse_spec(1, 1000, 2, kBuckets), dense_spec(2, kDenseFloats)}; }

/// A key of that bucket that belongs to one client.
Key key_of(std::uint32_t client, std::uint32_t bucket) {
  const auto spec = tables()[1];
  for (Key key = client;; key += kClients) {
    if (spec.shard_of(key) == ShardId(bucket)) return key;
  }
}

/// One client's numbered pushes to one shard: number s adds 1 to a count and s to a sum that belong to this client, so what is there tells exactly which were
/// applied.
struct Stream {
  std::uint32_t table, shard, floats;
  std::uint64_t next = 1;          ///< not sent yet
  std::uint64_t acknowledged = 0;  ///< all up to this one
  bool again = false;              ///< a gap was answered: send what is open once more
  Instant again_at{};
  std::map<std::uint64_t, bool> open{};  ///< sent, whether acknowledged
};

class PushingClient {
 public:
  PushingClient(Harness& harness, std::uint32_t index, std::uint64_t seed)
      : harness_(harness), index_(index), client_(harness, Incarnation(index + 1), kJob), rng_(seed) {
    streams_ = {{0, 0, kDenseFloats}, {2, 0, kDenseFloats}};
    for (std::uint32_t b = 0; b < kBuckets; ++b) streams_.push_back({1, b, 0});
  }

  /// Sends a few, takes what came.
  void step(std::uint64_t pushes) {
    for (auto& channel : client_.channels) {
      (void)channel->step();
      while (const auto completion = channel->next()) take(*completion);
    }
    for (std::size_t at = 0; at < streams_.size(); ++at) {
      Stream& stream = streams_[at];
      if (stream.again && harness_.clock.now() >= stream.again_at) {
        for (const auto& [sequence, ok] : stream.open) {
          if (!ok) send({{at, sequence}});
        }
        stream.again = false;
        stream.again_at = harness_.clock.now() + from_ms(60);
      }
      if (stream.next > pushes || stream.open.size() >= proto::kUnansweredPushesMax || rng_.below(2) == 0) continue;
      send({{at, stream.next}});
      stream.open[stream.next++] = false;
    }
  }
  [[nodiscard]] bool finished(std::uint64_t pushes) const {
    return std::all_of(streams_.begin(), streams_.end(), [pushes](const Stream& s) { return s.acknowledged == pushes; });
  }
  [[nodiscard]] const std::vector<Stream>& streams() const { return streams_; }
  [[nodiscard]] std::uint32_t index() const { return index_; }
  std::uint64_t gaps = 0;

 private:
  struct Part {
    std::size_t stream;
    std::uint64_t sequence;
  };
  [[nodiscard]] net::Frame payload(const Stream& stream, std::uint64_t sequence) const {
    const auto number = static_cast<float>(sequence);
    if (stream.table == 1) return sparse_frame({key_of(index_, stream.shard)}, {1.0F, number});
    std::vector<float> values(stream.floats);
    values[2 * index_] = 1.0F;
    values[2 * index_ + 1] = number;
    return net::Frame::from(std::move(values));
  }
  void send(const std::vector<Part>& parts) {
    proto::Push push;
    net::PayloadWriter writer;
    for (const Part& part : parts) {
      const Stream& stream = streams_[part.stream];
      push.sections.push_back(section(stream.table, stream.shard, part.sequence, stream.table == 1 ? 1 : stream.floats));
      writer.add(payload(stream, part.sequence));
    }
    const Stream& first = streams_[parts[0].stream];
    const std::uint32_t lane = harness_.lane_of(kJob, TableId(first.table), ShardId(first.shard));
    const auto number = client_.channels[lane]->request(client_.header(push), writer.finish(), harness_.clock.now() + from_ms(600'000));
    SLUICE_ASSERT(number.has_value());
  }
  void take(const net::Completion& completion) {
    ASSERT_TRUE(completion.answer);
    const auto& body = completion.answer->header.body;
    if (std::holds_alternative<proto::Done>(body)) return;  // the tables are made
    const auto* reply = std::get_if<proto::PushReply>(&body);
    ASSERT_NE(reply, nullptr) << "kind " << body.index();
    for (const auto& answer : reply->sections) {
      const auto at =
          static_cast<std::size_t>(std::find_if(streams_.begin(), streams_.end(),
                                                [&](const Stream& s) { return TableId(s.table) == answer.table && ShardId(s.shard) == answer.shard; }) -
                                   streams_.begin());
      Stream& stream = streams_[at];
      if (answer.outcome == proto::Outcome::kNoTable) {
        // Not sent to this lane yet: say it, and push again. The number is not consumed.
        const std::uint32_t lane = harness_.lane_of(kJob, answer.table, answer.shard);
        (void)client_.channels[lane]->request(client_.header(proto::CreateTables{tables()}), {}, Instant::never());
        send({{at, answer.sequence}});
      } else if (answer.outcome == proto::Outcome::kGap) {
        ++gaps;
        stream.again = true;
      } else {
        ASSERT_EQ(answer.outcome, proto::Outcome::kOk) << reply->text;
        if (const auto it = stream.open.find(answer.sequence); it != stream.open.end()) it->second = true;
        while (!stream.open.empty() && stream.open.begin()->second) {
          stream.acknowledged = stream.open.begin()->first;
          stream.open.erase(stream.open.begin());
        }
      }
    }
  }

  Harness& harness_;
  std::uint32_t index_;
  TestClient client_;
  SeededRng rng_;
  std::vector<Stream> streams_;
};

/// What the server holds for one client's stream.
struct Held {
  double count = 0, sum = 0;
};
Held held(Harness& harness, const Stream& stream, std::uint32_t client) {
  TestClient reader(harness, Incarnation(1000), kJob);
  reader.envelope.ring = harness.manager->orders.table.version;
  const std::uint32_t lane = harness.lane_of(kJob, TableId(stream.table), ShardId(stream.shard));
  const std::vector<Key> keys{key_of(client, stream.shard)};
  const bool sparse = stream.table == 1;
  const auto answer = reader.ask(lane, proto::Pull{{section(stream.table, stream.shard, 0, sparse ? 1 : 0)}},
                                 sparse ? std::vector{sparse_frame(keys, {})} : std::vector<net::Frame>{});
  const auto* reply = std::get_if<proto::PullReply>(&answer.header.body);
  if (reply == nullptr || reply->sections[0].outcome != proto::Outcome::kOk) return {-1, -1};
  const auto values = floats_in(answer.payload.at(0).bytes());
  return sparse ? Held{values[0], values[1]} : Held{values[2 * client], values[2 * client + 1]};
}

struct Class {
  const char* name;
  net::Faults faults;
};
void PrintTo(const Class& one, std::ostream* out) { *out << one.name; }

class CountingModel : public testing::TestWithParam<Class> {};
INSTANTIATE_TEST_SUITE_P(Interleavings, CountingModel,
                         testing::Values(Class{"none", {}}, Class{"lost", {1, 0.15, 0, 0, {}}}, Class{"repeated", {1, 0, 0.3, 0, {}}},
                                         Class{"reordered", {1, 0, 0, 0.5, from_ms(20)}}, Class{"all", {1, 0.1, 0.2, 0.3, from_ms(30)}}),
                         [](const auto& test) { return test.param.name; });

TEST_P(CountingModel, SumsEqualAcknowledgementsAndTheDeadCountAtMostOnce) {
  constexpr std::uint64_t kPushes = 60;
  std::uint64_t gaps = 0, died_open = 0;
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    net::Faults faults = GetParam().faults;
    faults.seed = seed;
    Harness harness(seed, faults);
    harness.options.lanes = 1 + seed % 2;
    harness.start();
    ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 2; }));
    std::vector<std::unique_ptr<PushingClient>> clients;
    for (std::uint32_t i = 0; i < kClients; ++i) clients.push_back(std::make_unique<PushingClient>(harness, i, mix64(seed, i)));
    std::vector<Stream> dead;
    const auto all_done = [&] {
      for (auto& client : clients) client->step(kPushes);
      return testing::Test::HasFatalFailure() || std::all_of(clients.begin(), clients.end(), [&](const auto& c) { return c->finished(kPushes); });
    };
    ASSERT_TRUE(harness.run(60, [&] { return all_done() || clients.back()->streams()[seed % 6].next > 10 * seed; }));
    clients.back()->step(kPushes);
    dead = clients.back()->streams();  // the last client is killed in the middle
    gaps += clients.back()->gaps;
    clients.pop_back();
    ASSERT_TRUE(harness.run(120, all_done)) << "seed " << seed;
    // Its incarnation expires; what of it is still under way arrives now or never.
    auto table = table_for(2, harness.lanes());
    table.expired = {Incarnation(kClients)};
    harness.manager->orders.table = table;
    (void)harness.run(1);
    for (const auto& client : clients) {
      gaps += client->gaps;
      for (const Stream& stream : client->streams()) {
        const Held there = held(harness, stream, client->index());
        EXPECT_EQ(there.count, kPushes) << GetParam().name << " seed " << seed << " shard " << stream.shard;
        EXPECT_EQ(there.sum, kPushes * (kPushes + 1) / 2.0);
      }
    }
    for (const Stream& stream : dead) {
      const Held there = held(harness, stream, kClients - 1);
      EXPECT_GE(there.count, static_cast<double>(stream.acknowledged));
      EXPECT_LE(there.count, static_cast<double>(stream.next - 1));
      EXPECT_EQ(there.sum, there.count * (there.count + 1) / 2) << "numbers without holes, each once";
      died_open += stream.open.size();
    }
  }
  EXPECT_GT(died_open, 0U) << "a client must die with pushes under way";
  const auto& faults = GetParam().faults;
  if (faults.drop > 0 || faults.reorder > 0) { EXPECT_GT(gaps, 0U) << "lost and reordered pushes must be met"; }
}

}  // namespace
}  // namespace sluice::server
