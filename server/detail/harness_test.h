#pragma once
/// A server in the test's own thread: a fake manager, in-process transport, simulated time, and clients that the test drives message by message.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/executor.h"
#include "net/channel.h"
#include "net/inproc_transport.h"
#include "net/payload.h"
#include "net/runtime.h"
#include "proto/messages.h"
#include "proto/slot_table.h"
#include "server/server.h"

namespace sluice::server {

inline constexpr JobId kJob{7};  ///< the job of a test that needs only one
inline constexpr const char* kManagerAddress = "inproc://manager";

/// All hash slots on server 1 (or as `owner` says).
inline proto::SlotTable table_for(std::uint64_t version, const std::vector<std::string>& lanes, const std::function<std::uint32_t(std::uint32_t)>& owner = {}) {
  proto::SlotTable table;
  table.version = RingVersion(version);
  table.servers = {{ServerId(1), "s1", lanes}, {ServerId(2), "s2", {"inproc://elsewhere"}}};
  for (std::uint32_t slot = 0; slot < proto::kHashSlots; ++slot) table.slots.push_back({ServerId(owner ? owner(slot) : 1), Term(1), {}});
  return table;
}

/// Does what it is told, and remembers what it heard.
class FakeManager final : public Actor {
 public:
  FakeManager(net::Transport& transport, Clock& clock) : endpoint_(std::move(*transport.listen(kManagerAddress)), clock) {}

  struct Orders {
    proto::SlotTable table;       ///< published when its version rises
    std::vector<JobId> ended;     ///< said until answered
    std::string keep;             ///< said with it
    bool forget_members = false;  ///< as after a restart without a state folder
    std::optional<proto::Refused> refuse_registration;
    bool deaf = false;  ///< drops everything
  };
  struct Heard {
    std::vector<proto::Register> registrations;
    std::map<JobId, std::vector<proto::JobReport>> reports;  ///< each step of a job once, as a manager keeps them
    std::uint64_t heartbeats = 0;
    std::uint64_t report_messages = 0;
    std::vector<JobId> ended_answered;
    std::vector<std::string> not_kept;  ///< why
  };
  Orders orders;
  Heard heard;

  [[nodiscard]] Step step() override {
    bool progressed = false;
    while (const auto request = endpoint_.receive()) {
      progressed = true;
      if (!orders.deaf) handle(*request);
    }
    if (member_ && orders.table.version.value > published_ && !orders.deaf) publish();
    return {progressed, Instant::never()};
  }
  void wait(Instant) override {}
  void wake() override {}
  void stop() override {}
  [[nodiscard]] bool ended() const override { return false; }

 private:
  void reply(const net::Request& request, proto::Body body) {
    proto::Header header;
    header.envelope.ring = orders.table.version;
    header.body = std::move(body);
    (void)endpoint_.reply(request, std::move(header));
  }
  void publish() {
    published_ = orders.table.version.value;
    proto::Header header;
    header.body = proto::SlotTableMessage{proto::encode(orders.table)};
    (void)endpoint_.notify(*member_, std::move(header));
  }
  void handle(const net::Request& request) {
    const proto::Body& body = request.header.body;
    if (const auto* registration = std::get_if<proto::Register>(&body)) {
      heard.registrations.push_back(*registration);
      if (orders.refuse_registration) return reply(request, *orders.refuse_registration);
      member_ = request.peer;
      orders.forget_members = false;
      published_ = orders.table.version.value;
      return reply(request, proto::Registered{1, 50, 200, {}, orders.table.made() ? proto::encode(orders.table) : ""});
    }
    if (orders.forget_members) return reply(request, proto::Refused{proto::RefusalKind::kNotMember, "denied", "who are you", ""});
    if (std::holds_alternative<proto::Heartbeat>(body)) {
      ++heard.heartbeats;
      for (const JobId job : orders.ended) {
        proto::Header end;
        end.envelope.job = job;
        end.body = proto::EndJob{orders.keep};
        (void)endpoint_.notify(request.peer, std::move(end));
      }
      return reply(request, proto::HeartbeatReply{});
    }
    if (const auto* report = std::get_if<proto::Report>(&body)) {
      ++heard.report_messages;
      for (const auto& job : report->jobs) {
        auto& all = heard.reports[job.job];
        if (all.empty() || !(all.back() == job)) all.push_back(job);
      }
      return reply(request, proto::Done{});
    }
    if (std::holds_alternative<proto::SlotTableRequest>(body)) return reply(request, proto::SlotTableMessage{proto::encode(orders.table)});
    if (const auto* refused = std::get_if<proto::Refused>(&body)) heard.not_kept.push_back(refused->text);
    if (std::holds_alternative<proto::Done>(body) || std::holds_alternative<proto::Refused>(body)) {
      heard.ended_answered.push_back(request.header.envelope.job);
      std::erase(orders.ended, request.header.envelope.job);
    }
  }
  net::Endpoint endpoint_;
  std::optional<net::PeerId> member_;
  std::uint64_t published_ = 0;
};

/// One server and its world. Members may be changed by a test before start().
class Harness {
 public:
  explicit Harness(std::uint64_t seed = 1, net::Faults faults = {})
      : transport(clock, net::InprocOptions{4096, faults}), executor(clock, seed, [this] { return transport.next_delivery(); }) {
    options.name = "s1";
    options.manager = kManagerAddress;
    options.listen = "inproc://s1-{}";
    options.on_fatal = [this](const Error& error) { fatal.push_back(error); };
  }

  void start_manager() {
    auto made = std::make_unique<FakeManager>(transport, clock);
    manager = made.get();
    manager->orders.table = table_for(1, lanes());
    executor.start("manager", std::move(made));
  }
  void start() {
    if (manager == nullptr) start_manager();
    start_server_only();
  }
  void start_server_only() {
    const auto ok = start_server(options, net::Runtime{clock, transport, executor, 1});
    SLUICE_ASSERT(ok.has_value());
  }
  [[nodiscard]] std::vector<std::string> lanes() const {
    std::vector<std::string> out;
    for (std::uint32_t i = 0; i < options.lanes; ++i) out.push_back("inproc://s1-" + std::to_string(i));
    return out;
  }
  /// Steps for that much simulated time or until `done`.
  bool run(
      double seconds, const std::function<bool()>& done = [] { return false; }) {
    const Instant limit = clock.now() + from_seconds(seconds);
    while (clock.now() < limit) {
      const Instant next = clock.now() + from_ms(1);
      if (executor.run_until(done, next)) return true;
      clock.advance_to(next);
    }
    return done();
  }
  [[nodiscard]] std::uint32_t lane_of(JobId job, TableId table, ShardId shard) const { return proto::hash_slot(job, table, shard).value % options.lanes; }
  [[nodiscard]] std::uint32_t home_lane(JobId job) const { return proto::home_slot(job).value % options.lanes; }

  SimClock clock;
  net::InprocTransport transport;
  SimExecutor executor;
  ServerOptions options;
  FakeManager* manager = nullptr;
  std::vector<Error> fatal;
};

/// A worker slot's connections to one server's lanes, asking one thing at a time.
class TestClient {
 public:
  TestClient(Harness& harness, Incarnation id, JobId job) : harness_(harness) {
    envelope.client = id, envelope.job = job, envelope.ring = RingVersion(1);
    for (const auto& address : harness.lanes())
      channels.push_back(std::make_unique<net::Channel>(*harness.transport.connect(address), harness.clock, net::ChannelOptions{from_ms(100), 1024}));
  }
  [[nodiscard]] proto::Header header(proto::Body body) const { return {envelope, std::move(body)}; }

  /// Asks a lane and steps the world until the answer is there.
  net::Answer ask(std::uint32_t lane, proto::Body body, std::vector<net::Frame> payload = {}) {
    auto& channel = *channels[lane];
    const auto number = channel.request(header(std::move(body)), std::move(payload), harness_.clock.now() + from_ms(20'000));
    SLUICE_ASSERT(number.has_value());
    std::optional<net::Completion> completion;
    (void)harness_.run(30, [&] {
      (void)channel.step();
      while (!completion) {
        completion = channel.next();
        if (!completion) break;
        if (completion->request != *number) completion.reset();
      }
      return completion.has_value();
    });
    SLUICE_ASSERT(completion && completion->answer);
    return std::move(*completion->answer);
  }
  template <class T>
  T expect(std::uint32_t lane, proto::Body body, std::vector<net::Frame> payload = {}) {
    const auto answer = ask(lane, std::move(body), std::move(payload));
    const auto* wanted = std::get_if<T>(&answer.header.body);
    const auto* refused = std::get_if<proto::Refused>(&answer.header.body);
    EXPECT_NE(wanted, nullptr) << "kind " << answer.header.body.index() << " " << (refused != nullptr ? refused->text : "");
    return wanted == nullptr ? T{} : *wanted;
  }

  proto::Envelope envelope;
  std::vector<std::unique_ptr<net::Channel>> channels;

 private:
  Harness& harness_;
};

inline proto::TableSpec dense_spec(std::uint32_t id, std::uint64_t floats, const std::string& optimizer = "add") {
  proto::TableSpec spec;
  spec.id = TableId(id), spec.name = "dense-" + std::to_string(id), spec.rows = floats, spec.cols = 1, spec.optimizer.name = optimizer;
  return spec;
}
inline proto::TableSpec sparse_spec(std::uint32_t id, std::uint64_t rows, std::uint32_t width, std::uint32_t buckets, const std::string& optimizer = "add") {
  proto::TableSpec spec;
  spec.id = TableId(id), spec.name = "sparse-" + std::to_string(id), spec.kind = proto::TableKind::kSparse, spec.rows = rows, spec.cols = width,
  spec.buckets = buckets;
  spec.optimizer.name = optimizer;
  return spec;
}

inline proto::Section section(std::uint32_t table, std::uint32_t shard, std::uint64_t sequence, std::uint32_t count) {
  proto::Section out;
  out.table = TableId(table), out.shard = ShardId(shard), out.sequence = sequence, out.count = count;
  return out;
}
inline net::Frame frame_of(const std::vector<float>& values) { return net::Frame::from(values); }
inline net::Frame sparse_frame(const std::vector<Key>& keys, const std::vector<float>& values) {
  std::string bytes(keys.size() * 8 + values.size() * 4, '\0');
  if (!keys.empty()) std::memcpy(bytes.data(), keys.data(), keys.size() * 8);
  if (!values.empty()) std::memcpy(bytes.data() + keys.size() * 8, values.data(), values.size() * 4);
  return net::Frame::from(std::move(bytes));
}
inline std::vector<float> floats_in(Bytes bytes) {
  std::vector<float> out(bytes.size() / 4);
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

}  // namespace sluice::server
