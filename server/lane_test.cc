/// A lane as its clients see it.

#include "server/lane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {

using proto::Outcome;
using proto::RefusalKind;
using testing::Each;
using testing::HasSubstr;

class LaneTest : public testing::Test {
 protected:
  void start(std::uint32_t lanes = 1) {
    harness.options.lanes = lanes;
    harness.start();
    ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  }
  void create(TestClient& client, const std::vector<proto::TableSpec>& tables) {
    for (std::uint32_t lane = 0; lane < harness.options.lanes; ++lane) client.expect<proto::Done>(lane, proto::CreateTables{tables});
  }
  proto::Section push_one(TestClient& client, proto::Section one, const std::vector<float>& values) {
    const auto reply = client.expect<proto::PushReply>(0, proto::Push{proto::PushKind::kGradient, proto::AckLevel::kApplied, {one}}, {frame_of(values)});
    text = reply.text;
    return reply.sections.empty() ? proto::Section{} : reply.sections[0];
  }
  std::vector<float> pull_all(TestClient& client, std::uint32_t table, std::uint32_t shard) {
    const auto answer = client.ask(0, proto::Pull{{section(table, shard, 0, 0)}});
    return answer.payload.empty() ? std::vector<float>{} : floats_in(answer.payload[0].bytes());
  }
  Harness harness;
  std::string text;  ///< of the last push's answer
};

TEST_F(LaneTest, ManySectionsOfBothKindsInOneMessageEachHaveTheirOwnOutcome) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  const auto sparse = sparse_spec(1, 1000, 2, 2);
  create(client, {dense_spec(0, 3), sparse, dense_spec(2, 70'000)});
  Key key = 0;
  while (sparse.shard_of(key) != ShardId(1)) ++key;
  net::PayloadWriter writer;
  writer.add(frame_of({1, 2, 3}));
  writer.add(sparse_frame({key, key}, {1, 10, 2, 20}));
  writer.add(frame_of(std::vector<float>(65'536, 4.0F)));
  writer.add(frame_of({1, 2}));
  proto::Push push;
  push.sections = {section(0, 0, 1, 3), section(1, 1, 1, 2), section(2, 0, 1, 65'536), section(2, 1, 2, 2)};
  const auto reply = client.expect<proto::PushReply>(0, push, writer.finish());
  ASSERT_EQ(reply.sections.size(), 4U);
  EXPECT_EQ(reply.sections[0].outcome, Outcome::kOk);
  EXPECT_EQ(reply.sections[1].outcome, Outcome::kOk);
  EXPECT_EQ(reply.sections[2].outcome, Outcome::kOk);
  EXPECT_EQ(reply.sections[2].version, 2U);
  EXPECT_EQ(reply.sections[3].outcome, Outcome::kGap);
  EXPECT_EQ(reply.sections[3].sequence, 1U);

  proto::Pull pull;
  pull.sections = {section(0, 0, 0, 0), section(1, 1, 0, 3), section(2, 0, 0, 0)};
  const auto answer = client.ask(0, pull, {sparse_frame({key, key + (sparse.shard_of(key + 1) == ShardId(1) ? 1 : 0), key}, {})});
  const auto& pulled = std::get<proto::PullReply>(answer.header.body);
  net::PayloadReader reader(answer.payload);
  EXPECT_THAT(floats_in(*reader.take(12)), testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(pulled.sections[1].count, 3U);
  const auto rows = floats_in(*reader.take(3 * 2 * 4));
  EXPECT_EQ(rows[0], 3);
  EXPECT_EQ(rows[1], 30);
  EXPECT_THAT(floats_in(*reader.take(65'536 * 4)), Each(4.0F));
  EXPECT_TRUE(reader.at_end());
}

TEST_F(LaneTest, APullOfWhatTheClientHasSaysNotModifiedAndSendsNothing) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 1000)});
  auto asked = section(0, 0, 0, 0);
  const auto first = client.expect<proto::PullReply>(0, proto::Pull{{asked}}).sections[0];
  EXPECT_EQ(first.version, 1U);
  EXPECT_EQ(first.term, 1U);
  EXPECT_EQ(first.count, 1000U);
  asked.version = first.version, asked.term = first.term;
  const auto answer = client.ask(0, proto::Pull{{asked}});
  EXPECT_EQ(std::get<proto::PullReply>(answer.header.body).sections[0].outcome, Outcome::kNotModified);
  EXPECT_TRUE(answer.payload.empty());
  EXPECT_EQ(push_one(client, section(0, 0, 1, 1000), std::vector<float>(1000, 1.0F)).outcome, Outcome::kOk);
  EXPECT_EQ(client.expect<proto::PullReply>(0, proto::Pull{{asked}}).sections[0].outcome, Outcome::kOk);
  asked.version = 2, asked.term = 9;
  EXPECT_EQ(client.expect<proto::PullReply>(0, proto::Pull{{asked}}).sections[0].outcome, Outcome::kOk) << "equal versions mean something within a term only";
}

TEST_F(LaneTest, PulledValuesAreTheServersOwnBytesAndNeverChangeUnderTheReader) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 5000)});
  const auto a = client.ask(0, proto::Pull{{section(0, 0, 0, 0)}});
  const auto b = client.ask(0, proto::Pull{{section(0, 0, 0, 0)}});
  EXPECT_EQ(a.payload[0].data(), b.payload[0].data()) << "not copied";
  push_one(client, section(0, 0, 1, 5000), std::vector<float>(5000, 1.0F));
  EXPECT_THAT(floats_in(a.payload[0].bytes()), Each(0.0F));
  EXPECT_THAT(pull_all(client, 0, 0), Each(1.0F));
}

TEST_F(LaneTest, ANanIsRefusedWithJobTableAndPlaceItsNumberIsConsumedAndTheAnswerIsKept) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 4)});
  for (int repeat = 0; repeat < 2; ++repeat) {
    EXPECT_EQ(push_one(client, section(0, 0, 1, 4), {1, NAN, 1, 1}).outcome, Outcome::kRejected);
    EXPECT_EQ(text, "job 7 table 'dense-0' shard 0: float 1 of the update is nan");
  }
  EXPECT_EQ(push_one(client, section(0, 0, 1, 4), {1, 1, 1, 1}).outcome, Outcome::kRejected) << "other bytes under an old number change nothing";
  EXPECT_EQ(push_one(client, section(0, 0, 2, 3), {1, 1, 1}).outcome, Outcome::kRejected);
  EXPECT_THAT(text, HasSubstr("3 floats for a shard of 4"));
  EXPECT_EQ(push_one(client, section(0, 0, 3, 4), {1, 1, 1, 1}).outcome, Outcome::kOk);
  EXPECT_THAT(pull_all(client, 0, 0), Each(1.0F));
}

TEST_F(LaneTest, APushThatOvertakesTheCommitBeforeItIsSentAwayAndTakesItsNumberLater) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  const std::vector<proto::TableSpec> tables = {dense_spec(0, 4)};
  create(client, tables);
  proto::JobSpec spec;
  spec.name = "j", spec.model = "m", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"};
  proto::Join join;
  join.spec = proto::to_json(spec), join.train_rows = 50, join.chunk_rows = 10, join.tables = tables;
  ASSERT_EQ(client.expect<proto::JoinReply>(0, join).clock, 0U);
  const auto lease = client.expect<proto::LeaseReply>(0, proto::LeaseRequest{});
  EXPECT_EQ(push_one(client, section(0, 0, 1, 4), {1, 1, 1, 1}).outcome, Outcome::kOk);
  proto::Push next{proto::PushKind::kGradient, proto::AckLevel::kApplied, {section(0, 0, 2, 4)}, 0, 1};
  const auto away = client.expect<proto::Refused>(0, next, {frame_of({1, 1, 1, 1})});
  EXPECT_EQ(away.kind, RefusalKind::kBehind);
  EXPECT_THAT(pull_all(client, 0, 0), Each(1.0F)) << "a batch whose commit is not there is not followed by another";
  proto::Commit commit;
  commit.sequence = 1, commit.lease = lease.lease, commit.offset = commit.examples = 5;
  client.expect<proto::CommitReply>(0, commit);
  EXPECT_EQ(client.expect<proto::PushReply>(0, next, {frame_of({1, 1, 1, 1})}).sections.at(0).outcome, Outcome::kOk);
  EXPECT_THAT(pull_all(client, 0, 0), Each(2.0F));
}

TEST_F(LaneTest, UnknownTablesAndShardsAreNamedAndNothingOfTheMessageIsApplied) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  EXPECT_EQ(push_one(client, section(0, 0, 1, 1), {1}).outcome, Outcome::kNoTable);
  create(client, {dense_spec(0, 1)});
  proto::Push push;
  push.sections = {section(0, 0, 1, 1), section(3, 0, 1, 1)};
  const auto reply = client.expect<proto::PushReply>(0, push, {frame_of({1, 1})});
  EXPECT_EQ(reply.sections[0].outcome, Outcome::kNoTable) << "without the table's width the payload can't be taken apart";
  EXPECT_EQ(push_one(client, section(0, 9, 1, 1), {1}).outcome, Outcome::kRejected);
  EXPECT_THAT(pull_all(client, 0, 0), Each(0.0F));
  EXPECT_EQ(push_one(client, section(0, 0, 1, 1), {1}).outcome, Outcome::kOk);
}

TEST_F(LaneTest, APayloadThatDoesNotFitItsSectionsChangesNothing) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 4), dense_spec(1, 4)});
  proto::Push push;
  push.sections = {section(0, 0, 1, 4), section(1, 0, 1, 4)};
  for (const std::vector<net::Frame>& wrong : {std::vector<net::Frame>{},
                                               {frame_of({1, 1, 1, 1})},
                                               {frame_of({1, 1, 1, 1}), frame_of({1, 1, 1})},
                                               {frame_of({1, 1, 1, 1}), frame_of({1, 1, 1, 1, 1, 1})},
                                               {frame_of(std::vector<float>(8, 1)), frame_of({1, 1})}}) {
    EXPECT_EQ(client.expect<proto::Refused>(0, push, wrong).code, "malformed");
  }
  EXPECT_THAT(pull_all(client, 0, 0), Each(0.0F));
  EXPECT_EQ(client.expect<proto::PushReply>(0, push, {frame_of(std::vector<float>(8, 1))}).sections[1].outcome, Outcome::kOk);
}

TEST_F(LaneTest, CreatingTablesAgainIsHarmlessAndOtherTablesUnderAKnownIdAreRefused) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 4)});
  EXPECT_EQ(push_one(client, section(0, 0, 1, 4), {1, 1, 1, 1}).outcome, Outcome::kOk);
  create(client, {dense_spec(0, 4), dense_spec(1, 2)});
  EXPECT_THAT(pull_all(client, 0, 0), Each(1.0F));
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::CreateTables{{dense_spec(0, 5)}}).text, HasSubstr("another table with id 0"));
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::CreateTables{{dense_spec(2, 5, "adamm")}}).text, HasSubstr("did you mean 'adam'"));
}

TEST_F(LaneTest, ForeignHashSlotsAreRefusedWithTheNewerTableOrBehind) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 200'000)});  // four shards
  const auto mine = proto::hash_slot(kJob, TableId(0), ShardId(1)).value;
  harness.manager->orders.table = table_for(3, harness.lanes(), [mine](std::uint32_t slot) { return slot == mine ? 1U : 2U; });
  harness.run(1);
  const auto refused = client.expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}});
  EXPECT_EQ(refused.kind, RefusalKind::kWrongOwner);
  EXPECT_EQ(proto::slot_table_from_bytes(refused.slot_table)->version, RingVersion(3));
  client.envelope.ring = RingVersion(3);
  proto::Pull pull;
  pull.sections = {section(0, 0, 0, 0), section(0, 1, 0, 0)};
  const auto reply = client.expect<proto::PullReply>(0, pull);
  EXPECT_EQ(reply.sections[0].outcome, Outcome::kWrongOwner);
  EXPECT_EQ(reply.sections[1].outcome, Outcome::kOk) << "what is here is served";
  client.envelope.ring = RingVersion(4);
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).kind, RefusalKind::kBehind) << "the client knows more than this server";
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::LeaseRequest{}).kind, RefusalKind::kBehind) << "so it is for job homes";
  client.envelope.ring = RingVersion(3);
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::LeaseRequest{}).kind, RefusalKind::kWrongOwner);
}

TEST_F(LaneTest, AServerThatIsBehindFetchesTheTableAndThenServes) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 4)});
  harness.manager->orders.table = table_for(3, harness.lanes(), [](std::uint32_t) { return 2U; });
  harness.run(1);
  harness.manager->orders.deaf = true;
  harness.manager->orders.table = table_for(5, harness.lanes());
  client.envelope.ring = RingVersion(5);
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).kind, RefusalKind::kBehind);
  harness.manager->orders.deaf = false;
  harness.run(1);
  EXPECT_EQ(client.expect<proto::PullReply>(0, proto::Pull{{section(0, 0, 0, 0)}}).sections[0].outcome, Outcome::kOk);
  client.envelope.ring = RingVersion(1);
  EXPECT_EQ(proto::slot_table_from_bytes(client.expect<proto::SlotTableMessage>(0, proto::SlotTableRequest{}).bytes)->version, RingVersion(5));
}

TEST_F(LaneTest, ASupersededTermIsNotApplied) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 1)});
  auto table = table_for(2, harness.lanes());
  for (auto& slot : table.slots) slot.term = Term(2);
  harness.manager->orders.table = table;
  harness.run(1);
  auto one = section(0, 0, 1, 1);
  one.term = 1;
  EXPECT_EQ(push_one(client, one, {1}).outcome, Outcome::kStaleTerm);
  one.term = 2;
  EXPECT_EQ(push_one(client, one, {1}).outcome, Outcome::kOk) << "its number was not consumed";
}

TEST_F(LaneTest, AnExpiredClientIsRefusedForEverAndItsLeaseGoesToOthers) {
  start();
  TestClient a(harness, Incarnation(1), kJob), b(harness, Incarnation(2), kJob);
  proto::JobSpec spec;
  spec.name = "j", spec.model = "m", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"};
  proto::Join join;
  join.spec = proto::to_json(spec), join.train_rows = 10, join.chunk_rows = 10, join.tables = {dense_spec(0, 1)};
  a.expect<proto::JoinReply>(0, join);
  b.expect<proto::JoinReply>(0, join);
  EXPECT_EQ(a.expect<proto::LeaseReply>(0, proto::LeaseRequest{}).kind, proto::LeaseKind::kTrain);
  EXPECT_EQ(b.expect<proto::LeaseReply>(0, proto::LeaseRequest{}).kind, proto::LeaseKind::kWait);
  auto table = table_for(2, harness.lanes());
  table.expired = {Incarnation(1)};
  harness.manager->orders.table = table;
  harness.run(1);
  EXPECT_EQ(a.expect<proto::Refused>(0, proto::LeaseRequest{}).kind, RefusalKind::kNotMember);
  EXPECT_EQ(a.expect<proto::Refused>(0, proto::Push{}).kind, RefusalKind::kNotMember);
  EXPECT_EQ(b.expect<proto::LeaseReply>(0, proto::LeaseRequest{}).kind, proto::LeaseKind::kTrain);
  harness.run(1);
  EXPECT_EQ(harness.manager->heard.reports[kJob].back().redone_batches, 1U) << "a batch may have been under way";
}

TEST_F(LaneTest, AShutGateOpensByMessage) {
  start(2);
  TestClient fast(harness, Incarnation(1), kJob), slow(harness, Incarnation(2), kJob);
  const std::uint32_t home = harness.home_lane(kJob);
  proto::JobSpec spec;
  spec.name = "j", spec.model = "m", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"};
  spec.consistency = {proto::ConsistencyMode::kSsp, 0};
  proto::Join join;
  join.spec = proto::to_json(spec), join.train_rows = 100, join.chunk_rows = 10, join.tables = {dense_spec(0, 1)};
  EXPECT_EQ(slow.expect<proto::Refused>(home, proto::LeaseRequest{}).kind, RefusalKind::kBehind) << "nobody has opened the job yet";
  fast.expect<proto::JoinReply>(home, join);
  slow.expect<proto::JoinReply>(home, join);
  proto::Commit commit;
  commit.sequence = 1, commit.offset = commit.examples = 5;
  commit.lease = fast.expect<proto::LeaseReply>(home, proto::LeaseRequest{}).lease;
  const auto other = slow.expect<proto::LeaseReply>(home, proto::LeaseRequest{}).lease;
  EXPECT_EQ(fast.expect<proto::CommitReply>(home, commit).gate, 0U) << "it may not begin clock 1 yet";
  EXPECT_EQ(fast.expect<proto::Gate>(home, proto::Gate{}).clock, 0U);
  commit.lease = other;
  slow.expect<proto::CommitReply>(home, commit);
  std::optional<net::Answer> notice;
  EXPECT_TRUE(harness.run(1, [&] {
    (void)fast.channels[home]->step();
    if (!notice) notice = fast.channels[home]->next_unasked();
    return notice.has_value();
  }));
  EXPECT_EQ(std::get<proto::Gate>(notice->header.body).clock, 1U);
  EXPECT_EQ(notice->header.envelope.job, kJob);
}

TEST_F(LaneTest, TablesThatDoNotFitAreRefusedWithTheNumbersUntilAnotherJobEnds) {
  harness.options.memory_bytes = 1'000'000;
  start(2);
  TestClient client(harness, Incarnation(1), kJob), other(harness, Incarnation(1), JobId(8)), third(harness, Incarnation(1), JobId(9));
  const auto refused = [&](TestClient& who, const proto::TableSpec& spec) {
    for (std::uint32_t lane = 0; lane < 2; ++lane) {
      const auto answer = who.ask(lane, proto::CreateTables{{spec}});
      if (const auto* refusal = std::get_if<proto::Refused>(&answer.header.body)) return *refusal;
    }
    return proto::Refused{};
  };
  // Adam's state is twice the values: 3 × 4 bytes a float.
  const proto::Refused never = refused(third, dense_spec(0, 1'000'000, "adam"));
  EXPECT_EQ(never.code, "unplaceable");
  EXPECT_THAT(never.text, HasSubstr("0.001 GB for tables"));
  create(client, {dense_spec(0, 60'000, "adam")});
  EXPECT_EQ(refused(other, dense_spec(0, 60'000, "adam")).code, "unplaceable");
  create(other, {sparse_spec(0, 1000, 4, 2)});
  harness.manager->orders.ended = {kJob};
  ASSERT_TRUE(harness.run(2, [&] { return !harness.manager->heard.ended_answered.empty(); }));
  TestClient fourth(harness, Incarnation(1), JobId(10));
  create(fourth, {dense_spec(0, 60'000, "adam")});
}

TEST_F(LaneTest, AnEndedJobIsFreedAndNothingOfItIsMadeAgain) {
  start();
  TestClient client(harness, Incarnation(1), kJob), other(harness, Incarnation(1), JobId(8));
  create(client, {dense_spec(0, 4)});
  create(other, {dense_spec(0, 4)});
  harness.manager->orders.ended = {kJob};
  ASSERT_TRUE(harness.run(2, [&] { return !harness.manager->heard.ended_answered.empty(); }));
  EXPECT_EQ(harness.manager->heard.ended_answered[0], kJob);
  harness.run(0.1);
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).text, HasSubstr("job 7 has ended"));
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::CreateTables{{dense_spec(0, 4)}}).text, HasSubstr("job 7 has ended"));
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::Join{}).text, HasSubstr("job 7 has ended"));
  client.expect<proto::Done>(0, proto::Leave{});
  EXPECT_EQ(other.expect<proto::PullReply>(0, proto::Pull{{section(0, 0, 0, 0)}}).sections[0].outcome, Outcome::kOk);
}

TEST_F(LaneTest, AnOlderGenerationIsRefusedAndANewerBeginsAfresh) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, 1)});
  push_one(client, section(0, 0, 1, 1), {1});
  client.envelope.generation = 1;
  EXPECT_EQ(push_one(client, section(0, 0, 1, 1), {1}).outcome, Outcome::kNoTable);
  create(client, {dense_spec(0, 1)});
  EXPECT_THAT(pull_all(client, 0, 0), Each(0.0F));
  client.envelope.generation = 0;
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::Pull{{section(0, 0, 0, 0)}}).text, HasSubstr("generation 0 of job 7 is over"));
}

TEST_F(LaneTest, WhatSlowReadersHoldIsBoundedAndNothingIsLostByWaiting) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  create(client, {dense_spec(0, proto::kShardFloats)});
  const std::vector<float> ones(proto::kShardFloats, 1.0F);
  std::vector<net::Answer> kept;  // a reader that never reads: every buffer it was sent stays
  std::uint64_t sequence = 1;
  proto::RefusalKind refused = RefusalKind::kError;
  for (int i = 0; i < 1000 && refused != RefusalKind::kBehind; ++i) {
    kept.push_back(client.ask(0, proto::Pull{{section(0, 0, 0, 0)}}));
    if (const auto* no = std::get_if<proto::Refused>(&kept.back().header.body)) refused = no->kind;
    EXPECT_EQ(push_one(client, section(0, 0, sequence, proto::kShardFloats), ones).outcome, Outcome::kOk);
    ++sequence;
  }
  EXPECT_EQ(refused, RefusalKind::kBehind);
  EXPECT_LE(kept.size(), (24U << 20) / (256U << 10) + 4);
  kept.clear();
  EXPECT_THAT(pull_all(client, 0, 0), Each(static_cast<float>(sequence - 1)));
}

TEST_F(LaneTest, MessagesThatAServerDoesNotServeAreRefused) {
  start();
  TestClient client(harness, Incarnation(1), kJob);
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::Grant{}).kind, RefusalKind::kError);
  EXPECT_EQ(client.expect<proto::Refused>(0, proto::Call{"ps", "{}"}).kind, RefusalKind::kError);
  client.envelope.client = Incarnation(0);
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::Push{}).text, HasSubstr("client incarnation"));
  client.envelope.job = JobId(0);
  EXPECT_THAT(client.expect<proto::Refused>(0, proto::Pull{}).text, HasSubstr("no job"));
}

}  // namespace
}  // namespace sluice::server
