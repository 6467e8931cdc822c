/// The server as a member of the cluster.

#include "server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "server/detail/control.h"
#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {

using testing::HasSubstr;

proto::Join small_join(std::uint64_t rows, std::uint32_t epochs) {
  proto::JobSpec spec;
  spec.name = "j", spec.model = "m", spec.data.name = "d", spec.data.format = "idx", spec.data.train = {"/a", "/b"}, spec.epochs = epochs;
  proto::Join join;
  join.spec = proto::to_json(spec), join.train_rows = rows, join.chunk_rows = 10, join.tables = {dense_spec(0, 1)};
  return join;
}

/// Trains a job to its end by messages, a batch of 5 at a time.
void train(Harness& harness, TestClient& client, std::uint64_t batches) {
  const std::uint32_t home = harness.home_lane(kJob);
  proto::LeaseReply lease;
  proto::Commit commit;
  for (std::uint64_t i = 0; i < batches; ++i) {
    if (lease.offset == lease.rows) lease = client.expect<proto::LeaseReply>(home, proto::LeaseRequest{});
    ASSERT_EQ(lease.kind, proto::LeaseKind::kTrain);
    ++commit.sequence;
    commit.clock = i, commit.lease = lease.lease, commit.offset = lease.offset + 5, commit.examples = 5, commit.loss_sum = 5, commit.loss_squares = 5;
    commit.slot_seconds = 0.5;
    client.expect<proto::CommitReply>(home, commit);
    lease.offset = commit.offset;
    (void)harness.run(0.02);
  }
}

TEST(Server, RegistersWithItsLanesAndKeepsSayingThatItIsThere) {
  Harness harness;
  harness.options.lanes = 3;
  harness.start();
  ASSERT_TRUE(harness.run(2, [&] { return harness.manager->heard.heartbeats >= 20; }));
  ASSERT_EQ(harness.manager->heard.registrations.size(), 1U);
  const auto& said = harness.manager->heard.registrations[0];
  EXPECT_EQ(said.role, proto::Role::kServer);
  EXPECT_EQ(said.name, "s1");
  EXPECT_EQ(said.lanes, harness.lanes());
  EXPECT_TRUE(harness.fatal.empty());
}

TEST(Server, WithoutAManagerItGivesUpInTimeAndSaysSo) {
  Harness harness;
  harness.start_server_only();
  EXPECT_FALSE(harness.run(4.9, [&] { return !harness.fatal.empty(); }));
  ASSERT_TRUE(harness.run(0.2, [&] { return !harness.fatal.empty(); }));
  EXPECT_EQ(harness.fatal[0].code, Errc::kCannotConnect);
  EXPECT_EQ(harness.fatal[0].what, "no manager at inproc://manager within 5 s");
  (void)harness.run(1);
  EXPECT_EQ(harness.fatal.size(), 1U) << "said once";
}

TEST(Server, AManagerThatComesLateIsFound) {
  Harness harness;
  harness.start_server_only();
  (void)harness.run(3);
  harness.start_manager();
  EXPECT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 3; }));
  EXPECT_TRUE(harness.fatal.empty());
}

TEST(Server, ARefusalIsPassedOnInTheManagersWords) {
  Harness harness;
  harness.start_manager();
  harness.manager->orders.refuse_registration = proto::Refused{proto::RefusalKind::kError, "version", "protocol version 1; this manager speaks 2", ""};
  harness.start_server_only();
  ASSERT_TRUE(harness.run(5, [&] { return !harness.fatal.empty(); }));
  EXPECT_EQ(harness.fatal[0].code, Errc::kCannotConnect);
  EXPECT_THAT(harness.fatal[0].what, HasSubstr("the manager at inproc://manager: protocol version 1; this manager speaks 2"));
}

TEST(Server, AManagerThatIsNotReadyIsAskedAgain) {
  Harness harness;
  harness.start_manager();
  harness.manager->orders.refuse_registration = proto::Refused{proto::RefusalKind::kBehind, "full", "starting", ""};
  harness.start_server_only();
  (void)harness.run(2);
  harness.manager->orders.refuse_registration.reset();
  EXPECT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 3; }));
  EXPECT_TRUE(harness.fatal.empty());
}

TEST(Server, TakenAddressesAndImpossibleOptionsAreSaidAtOnce) {
  Harness harness;
  harness.start();
  const net::Runtime runtime{harness.clock, harness.transport, harness.executor, 1};
  const auto taken = start_server(harness.options, runtime);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, Errc::kCannotConnect);
  auto options = harness.options;
  options.lanes = 2, options.listen = "inproc://one";
  EXPECT_THAT(start_server(options, runtime).error().what, HasSubstr("one address for 2 lanes"));
  options.lanes = 0;
  EXPECT_THAT(start_server(options, runtime).error().what, HasSubstr("0 lanes"));
  options.name = "No Name";
  EXPECT_EQ(start_server(options, runtime).error().code, Errc::kBadConfig);
}

TEST(Server, ReportsReachTheManagerWholeWhateverIsLostOrRepeated) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Harness harness(seed);
    harness.options.report_ms = 100;
    harness.start();
    ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
    net::Faults faults{seed, 0.2, 0.2, 0.2, from_ms(30)};
    harness.transport.set_faults(faults);
    TestClient client(harness, Incarnation(1), kJob);
    const std::uint32_t home = harness.home_lane(kJob);
    client.expect<proto::JoinReply>(home, small_join(100, 2));
    train(harness, client, 40);
    const auto& reports = harness.manager->heard.reports[kJob];
    ASSERT_TRUE(harness.run(30, [&] { return !reports.empty() && reports.back().state == proto::HomeState::kFinished; }));
    // Repeats and overtakings are told apart by the step; what is kept in order adds up to everything, once.
    std::uint64_t steps = 0, examples = 0;
    double loss = 0;
    for (const auto& report : reports) {
      if (report.step <= steps) continue;
      EXPECT_EQ(report.step - report.window_steps, steps) << "no window is missing or counted twice";
      steps = report.step, examples += report.window_examples, loss += report.loss_sum;
    }
    EXPECT_EQ(steps, 40U);
    EXPECT_EQ(examples, 200U);
    EXPECT_DOUBLE_EQ(loss, 200.0);
    EXPECT_DOUBLE_EQ(reports.back().slot_seconds, 20.0);
    EXPECT_EQ(reports.back().examples_total, 200U);
    (void)harness.run(1);
    const auto messages = harness.manager->heard.report_messages;
    (void)harness.run(3);
    EXPECT_EQ(harness.manager->heard.report_messages, messages) << "nothing changed: nothing is reported";
  }
}

TEST(Server, AChangeOfStateIsReportedAtOnce) {
  Harness harness;
  harness.options.report_ms = 60'000;
  harness.start();
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  TestClient client(harness, Incarnation(1), kJob);
  const std::uint32_t home = harness.home_lane(kJob);
  client.expect<proto::JoinReply>(home, small_join(20, 1));
  const auto& reports = harness.manager->heard.reports[kJob];
  EXPECT_TRUE(harness.run(0.05, [&] { return reports.size() == 1; })) << "that it was opened";
  train(harness, client, 4);
  EXPECT_TRUE(harness.run(0.05, [&] { return reports.back().state == proto::HomeState::kFinished; }));
}

TEST(Server, TheLossOfTheFirstBatchAndOfAFewEarlyWindowsIsReportedAtOnce) {
  Harness harness;
  harness.options.report_ms = 60'000;
  harness.start();
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  TestClient client(harness, Incarnation(1), kJob);
  client.expect<proto::JoinReply>(harness.home_lane(kJob), small_join(1000, 1));
  train(harness, client, 70);
  std::vector<std::uint64_t> steps, windows;
  for (const auto& report : harness.manager->heard.reports[kJob]) {
    if (report.step == 0) continue;
    steps.push_back(report.step), windows.push_back(report.window_steps);
  }
  EXPECT_EQ(steps, (std::vector<std::uint64_t>{1, 4, 16, 64}));
  EXPECT_EQ(windows, (std::vector<std::uint64_t>{1, 3, 12, 48}));
}

TEST(Server, WhileTheManagerIsGoneItServesOnAndAfterwardsReportsEverything) {
  Harness harness;
  harness.start();
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  TestClient client(harness, Incarnation(1), kJob);
  client.expect<proto::JoinReply>(harness.home_lane(kJob), small_join(1000, 1));
  (void)harness.run(1);
  harness.manager->orders.deaf = true;
  train(harness, client, 50);
  (void)harness.run(20);
  client.expect<proto::Done>(0, proto::CreateTables{{dense_spec(0, 1)}});
  harness.manager->orders.deaf = false;
  const auto& reports = harness.manager->heard.reports[kJob];
  ASSERT_TRUE(harness.run(10, [&] { return reports.back().step == 50; }));
  std::uint64_t examples = 0;
  for (const auto& report : reports) examples += report.window_examples;
  EXPECT_EQ(examples, 250U);
  EXPECT_TRUE(harness.fatal.empty());
}

TEST(Server, AManagerThatForgotItMeetsItAgain) {
  Harness harness;
  harness.start();
  ASSERT_TRUE(harness.run(5, [&] { return harness.manager->heard.heartbeats > 1; }));
  TestClient client(harness, Incarnation(1), kJob);
  client.expect<proto::Done>(0, proto::CreateTables{{dense_spec(0, 1)}});
  harness.manager->orders.forget_members = true;
  harness.manager->orders.table = table_for(9, harness.lanes());
  ASSERT_TRUE(harness.run(10, [&] { return harness.manager->heard.registrations.size() == 2; }));
  (void)harness.run(1);
  client.envelope.ring = RingVersion(9);
  EXPECT_EQ(client.expect<proto::PullReply>(0, proto::Pull{{section(0, 0, 0, 0)}}).sections[0].outcome, proto::Outcome::kOk) << "what it held it still holds";
}

TEST(Merge, WindowsAddUpTotalsAreReplaced) {
  proto::JobReport a, b;
  a.step = 10, a.window_steps = 4, a.window_examples = 40, a.loss_sum = 8, a.loss_squares = 3, a.staleness_mean = 1, a.slot_seconds = 2;
  b.step = 16, b.window_steps = 6, b.window_examples = 60, b.loss_sum = 6, b.loss_squares = 2, b.staleness_mean = 2, b.slot_seconds = 5;
  merge(a, b);
  EXPECT_EQ(a.step, 16U);
  EXPECT_EQ(a.window_steps, 10U);
  EXPECT_EQ(a.window_examples, 100U);
  EXPECT_DOUBLE_EQ(a.loss_sum, 14);
  EXPECT_DOUBLE_EQ(a.loss_squares, 5);
  EXPECT_DOUBLE_EQ(a.slot_seconds, 5);
  EXPECT_DOUBLE_EQ(a.staleness_mean, 1.6);
}

}  // namespace
}  // namespace sluice::server
