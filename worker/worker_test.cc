/// The worker's membership against a manager that is a script: registration, grants, news, expulsion, and a manager that is not there.

#include "worker/worker.h"

#include <gtest/gtest.h>

#include "base/executor.h"
#include "base/host.h"
#include "net/channel.h"
#include "net/inproc_transport.h"
#include "worker/detail/control.h"
#include "worker/detail/fake_cluster.h"

namespace sluice::worker {
namespace {

/// Answers what a test says; counts the rest.
class Manager final : public Actor {
 public:
  Manager(net::Transport& transport, Clock& clock) : endpoint_(std::move(*transport.listen("inproc://manager")), clock) {}
  Step step() override {
    bool any = false;
    while (auto request = endpoint_.receive()) {
      any = true;
      handle(*request);
    }
    return {any, Instant::never()};
  }
  void wait(Instant) override {}
  void wake() override {}
  void stop() override {}
  [[nodiscard]] bool ended() const override { return false; }

  void grant(Term term, DecisionId decision, std::vector<proto::Assignment> assignments) {
    proto::Header header;
    header.envelope.manager_term = term;
    header.envelope.decision = decision;
    header.body = proto::Grant{boot_id(), std::move(assignments)};
    (void)endpoint_.notify(peer, header);
  }
  void publish(const proto::SlotTable& table) {
    proto::Header header;
    header.body = proto::SlotTableMessage{proto::encode(table)};
    (void)endpoint_.notify(peer, header);
  }

  std::function<std::optional<proto::Body>(const proto::Header&)> instead;
  net::PeerId peer;
  std::uint32_t registrations = 0, heartbeats = 0;
  std::vector<proto::Moved> moved;
  std::vector<std::pair<JobId, proto::JobFault>> faults;
  std::vector<std::pair<Term, DecisionId>> granted;

 private:
  void handle(const net::Request& request) {
    const auto& body = request.header.body;
    std::optional<proto::Body> answer;
    if (instead) answer = instead(request.header);
    if (!answer) answer = usual(request);
    if (!answer || request.header.envelope.request == 0) return;
    proto::Header header;
    header.body = std::move(*answer);
    (void)endpoint_.reply(request, header);
    (void)body;
  }
  std::optional<proto::Body> usual(const net::Request& request) {
    const auto& body = request.header.body;
    if (const auto* registering = std::get_if<proto::Register>(&body)) {
      peer = request.peer;
      ++registrations;
      proto::Registered out;
      out.id = 3;
      for (std::uint32_t i = 0; i < registering->slots; ++i) out.clients.emplace_back(100 * registrations + i);
      return out;
    }
    if (std::holds_alternative<proto::Heartbeat>(body)) {
      ++heartbeats;
      return proto::HeartbeatReply{};
    }
    if (const auto* one = std::get_if<proto::Moved>(&body)) moved.push_back(*one);
    if (const auto* one = std::get_if<proto::JobFault>(&body)) faults.emplace_back(request.header.envelope.job, *one);
    if (std::holds_alternative<proto::Done>(body)) granted.emplace_back(request.header.envelope.manager_term, request.header.envelope.decision);
    if (std::holds_alternative<proto::SlotTableRequest>(body)) return proto::SlotTableMessage{};
    return proto::Done{};
  }
  net::Endpoint endpoint_;
};

class Control : public testing::Test {
 protected:
  Control() : transport(clock), executor(clock, 1, [this] { return transport.next_delivery(); }) {}
  void start_manager() {
    auto actor = std::make_unique<Manager>(transport, clock);
    manager = actor.get();
    executor.start("manager", std::move(actor));
  }
  void start(std::uint32_t slots = 2) {
    ControlSetup setup;
    setup.options.name = "worker-1";
    setup.options.manager = "inproc://manager";
    setup.options.on_fatal = [this](const Error& error) { fatal.push_back(error); };
    setup.host = boot_id();
    for (std::uint32_t i = 0; i < slots; ++i) inboxes.push_back(std::make_shared<SlotInbox>(std::shared_ptr<net::Poller>(transport.poller())));
    setup.slots = inboxes;
    setup.poller = transport.poller();
    news = setup.inbox = std::make_shared<ControlInbox>(setup.poller);
    setup.manager = std::move(*transport.connect("inproc://manager"));
    auto actor = make_control(std::move(setup), net::Runtime{clock, transport, executor, 1});
    control = actor.get();
    executor.start("control", fake::watched(std::move(actor), clock));
  }
  bool run(const std::function<bool()>& done, double seconds) {
    const Instant limit = clock.now() + from_seconds(seconds);
    const bool ok = executor.run_until(done, limit);
    if (!ok) clock.advance_to(limit);
    return ok;
  }
  void run_for(double seconds) {
    (void)run([] { return false; }, seconds);
  }
  static proto::Assignment assignment(std::uint32_t slot, std::uint64_t job, std::uint64_t decision) {
    proto::Assignment a;
    a.slot = WorkerSlot(slot);
    a.job = JobId(job);
    a.decision = DecisionId(decision);
    a.spec = "{}";
    return a;
  }

  SimClock clock;
  net::InprocTransport transport;
  SimExecutor executor;
  Manager* manager = nullptr;
  Actor* control = nullptr;
  std::vector<std::shared_ptr<SlotInbox>> inboxes;
  std::shared_ptr<ControlInbox> news;
  std::vector<Error> fatal;
};

TEST_F(Control, RegistersBeatsAndHandsOutIncarnations) {
  start_manager();
  start();
  run_for(2.05);
  EXPECT_EQ(manager->registrations, 1U);
  EXPECT_GE(manager->heartbeats, 9U);
  EXPECT_LE(manager->heartbeats, 11U);
  EXPECT_EQ(inboxes[0]->take()->incarnation, Incarnation(100));
  EXPECT_EQ(inboxes[1]->take()->incarnation, Incarnation(101));
  EXPECT_TRUE(fatal.empty());
}

TEST_F(Control, AGrantIsTheWholeAssignmentAndOlderOnesAreRefused) {
  start_manager();
  start();
  run_for(0.1);
  manager->grant(Term(2), DecisionId(5), {assignment(0, 7, 5)});
  run_for(0.1);
  auto first = inboxes[0]->take();
  ASSERT_TRUE(first && first->order);
  EXPECT_EQ(first->order->assignment.job, JobId(7));
  EXPECT_TRUE(first->order->same_host);
  ASSERT_TRUE(inboxes[1]->take()->order) << "a slot that is not named is idle";
  manager->grant(Term(2), DecisionId(4), {assignment(0, 8, 4)});
  manager->grant(Term(1), DecisionId(9), {assignment(0, 8, 9)});
  run_for(0.1);
  EXPECT_FALSE(inboxes[0]->take());
  manager->grant(Term(3), DecisionId(1), {assignment(0, 9, 1)});
  run_for(0.1);
  EXPECT_EQ(inboxes[0]->take()->order->assignment.job, JobId(9)) << "a later term counts its decisions anew";
  EXPECT_EQ(manager->granted.size(), 2U) << "what was refused is not acknowledged";
}

TEST_F(Control, NewsAreSentUntilTheManagerHasThem) {
  start_manager();
  start();
  run_for(0.1);
  int lost = 0;
  manager->instead = [&](const proto::Header& header) -> std::optional<proto::Body> {
    if (!std::holds_alternative<proto::JobFault>(header.body) || lost++ >= 2) return std::nullopt;
    return proto::Refused{proto::RefusalKind::kBehind, "", "later", ""};
  };
  proto::Moved moved;
  moved.to = JobId(7);
  moved.stall_ms = 1.5;
  news->put(moved);
  news->put(FaultNews{JobId(8), 0, "bad_data", "x.svm:3: no label"});
  run_for(3);
  ASSERT_EQ(manager->moved.size(), 1U);
  EXPECT_EQ(manager->moved[0].worker, 3U);
  ASSERT_EQ(manager->faults.size(), 1U);
  EXPECT_EQ(manager->faults[0].first, JobId(8));
  EXPECT_EQ(manager->faults[0].second.what, "x.svm:3: no label");
}

TEST_F(Control, OneThatIsNoMemberAnyMoreRegistersAnewWithNewIncarnations) {
  start_manager();
  start(1);
  run_for(0.1);
  manager->grant(Term(2), DecisionId(5), {assignment(0, 7, 5)});
  run_for(0.1);
  EXPECT_TRUE(inboxes[0]->take()->order);
  bool once = false;
  manager->instead = [&](const proto::Header& header) -> std::optional<proto::Body> {
    if (once || !std::holds_alternative<proto::Heartbeat>(header.body)) return std::nullopt;
    once = true;
    return proto::Refused{proto::RefusalKind::kNotMember, "denied", "not a member: register anew", ""};
  };
  run_for(1);
  EXPECT_EQ(manager->registrations, 2U);
  auto content = inboxes[0]->take();
  ASSERT_TRUE(content);
  EXPECT_EQ(content->incarnation, Incarnation(200));
  EXPECT_FALSE(content->order) << "orders of the old membership are void";
  manager->grant(Term(1), DecisionId(1), {assignment(0, 8, 1)});
  run_for(0.1);
  EXPECT_TRUE(inboxes[0]->take()->order) << "a new membership begins with any decision";
  news->membership_lost(Incarnation(200));
  run_for(0.5);
  EXPECT_EQ(manager->registrations, 3U) << "a server's word counts too";
  news->membership_lost(Incarnation(200));
  run_for(0.5);
  EXPECT_EQ(manager->registrations, 3U) << "but not about a membership that is over";
}

TEST_F(Control, AManagerThatGoesAwayIsNotFatalAndOneThatComesBackIsJoinedAgain) {
  start_manager();
  start();
  run_for(0.5);
  executor.kill("manager");
  run_for(20);
  EXPECT_TRUE(fatal.empty());
  start_manager();
  manager->instead = [this](const proto::Header& header) -> std::optional<proto::Body> {
    if (manager->registrations > 0 || !std::holds_alternative<proto::Heartbeat>(header.body)) return std::nullopt;
    return proto::Refused{proto::RefusalKind::kNotMember, "denied", "not a member: register anew", ""};
  };
  run_for(3);
  EXPECT_EQ(manager->registrations, 1U);
  EXPECT_GT(manager->heartbeats, 3U);
  EXPECT_TRUE(fatal.empty());
}

TEST_F(Control, NoManagerWithinThePatienceIsSaidOnce) {
  start();
  ASSERT_TRUE(run([this] { return !fatal.empty(); }, 6));
  EXPECT_EQ(fatal[0].code, Errc::kCannotConnect);
  EXPECT_NE(fatal[0].what.find("no manager at inproc://manager within 5 s"), std::string::npos) << fatal[0].what;
  run_for(10);
  EXPECT_EQ(fatal.size(), 1U);
}

TEST_F(Control, ARefusedRegistrationIsSaidInTheManagersWords) {
  start_manager();
  manager->instead = [](const proto::Header&) -> std::optional<proto::Body> {
    return proto::Refused{proto::RefusalKind::kError, "version", "protocol version 1, this manager speaks 2", ""};
  };
  start();
  ASSERT_TRUE(run([this] { return !fatal.empty(); }, 1));
  EXPECT_EQ(fatal[0].code, Errc::kCannotConnect);
  EXPECT_NE(fatal[0].what.find("speaks 2"), std::string::npos);
}

TEST_F(Control, SlotTablesReachEverySlotAndAreAskedForWhenASlotWantsOne) {
  start_manager();
  start();
  run_for(0.1);
  proto::SlotTable table;
  table.version = RingVersion(2);
  table.servers.push_back({ServerId(1), "server-1", {"inproc://lane"}});
  table.slots.assign(proto::kHashSlots, {ServerId(1), Term(1), {}});
  manager->publish(table);
  run_for(0.1);
  for (const auto& inbox : inboxes) {
    auto content = inbox->take();
    ASSERT_TRUE(content && content->table);
    EXPECT_EQ(content->table->version, RingVersion(2));
  }
  int asked = 0;
  manager->instead = [&](const proto::Header& header) -> std::optional<proto::Body> {
    if (!std::holds_alternative<proto::SlotTableRequest>(header.body)) return std::nullopt;
    if (++asked < 3) return proto::SlotTableMessage{};
    table.version = RingVersion(3);
    return proto::SlotTableMessage{proto::encode(table)};
  };
  news->want_table(RingVersion(1));
  run_for(0.5);
  EXPECT_EQ(asked, 0) << "there is a newer one already";
  news->want_table(RingVersion(2));
  run_for(2);
  EXPECT_EQ(asked, 3) << "asked until it came, then no more";
  EXPECT_EQ(inboxes[0]->take()->table->version, RingVersion(3));
}

TEST_F(Control, StopWaitsForTheSlotsButNotForEver) {
  start_manager();
  start();
  run_for(0.5);
  control->stop();
  run_for(0.5);
  ASSERT_TRUE(inboxes[0]->take()->stop);
  const auto beats = manager->heartbeats;
  run_for(0.5);
  EXPECT_GT(manager->heartbeats, beats) << "still a member: its slots are leaving";
  news->slot_ended();
  news->slot_ended();
  run_for(0.3);
  const auto after = manager->heartbeats;
  run_for(2);
  EXPECT_EQ(manager->heartbeats, after) << "it has ended";
}

TEST(StartWorker, RefusesWhatCannotBe) {
  SimClock clock;
  net::InprocTransport transport(clock);
  SimExecutor executor(clock, 1);
  const net::Runtime runtime{clock, transport, executor, 1};
  WorkerOptions options;
  options.name = "not a name";
  options.manager = "inproc://manager";
  EXPECT_EQ(start_worker(options, ModelRegistry("model"), runtime).error().code, Errc::kBadConfig);
  options.name = "worker-1";
  options.slots = 0;
  EXPECT_EQ(start_worker(options, ModelRegistry("model"), runtime).error().code, Errc::kBadConfig);
  options.slots = 1;
  options.manager = "nonsense";
  EXPECT_FALSE(start_worker(options, ModelRegistry("model"), runtime).has_value());
}

}  // namespace
}  // namespace sluice::worker
