#include "net/channel.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "net/inproc_transport.h"

namespace sluice::net {
namespace {

using ::testing::HasSubstr;

constexpr const char* kAddress = "inproc://server";

proto::Header gate(std::uint64_t clock) {
  proto::Header header;
  header.body = proto::Gate{clock};
  return header;
}
std::uint64_t clock_of(const proto::Header& header) { return std::get<proto::Gate>(header.body).clock; }

/// A client and a server on one simulated clock.
struct Pair {
  explicit Pair(const Faults& faults = {}, ChannelOptions options = {})
      : transport(clock, {.queue_messages_max = 4096, .faults = faults}),
        server(transport.listen(kAddress).value(), clock),
        client(transport.connect(kAddress).value(), clock, options) {}
  /// Lets everything that is due happen; the server answers gate n with gate n + 1.
  void run(Duration time) {
    const Instant end = clock.now() + time;
    for (;;) {
      bool happened = client.step();
      while (auto request = server.receive()) {
        ++served;
        happened = true;
        EXPECT_TRUE(server.reply(*request, gate(clock_of(request->header) + 1), std::move(request->payload)));
      }
      if (happened) continue;
      const Instant next = std::min({end, transport.next_delivery(), client.next_timer()});
      if (next >= end) break;
      clock.advance_to(std::max(next, clock.now() + Duration{1}));
    }
    clock.advance_to(end);
  }
  Instant in(Duration time) { return clock.now() + time; }

  SimClock clock;
  InprocTransport transport;
  Endpoint server;
  Channel client;
  int served = 0;
};

TEST(Channel, AnswersFindTheirRequest) {
  Pair pair;
  const auto first = pair.client.request(gate(10), {Frame::from(std::string("payload"))}, pair.in(from_ms(1000)));
  const auto second = pair.client.request(gate(20), {}, pair.in(from_ms(1000)));
  EXPECT_EQ(pair.client.outstanding(), 2U);
  pair.run(from_ms(10));
  const auto one = pair.client.next();
  const auto two = pair.client.next();
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->request, *first);
  EXPECT_EQ(clock_of(one->answer->header), 11U);
  EXPECT_EQ(one->answer->payload.size(), 1U);
  EXPECT_EQ(two->request, *second);
  EXPECT_EQ(clock_of(two->answer->header), 21U);
  EXPECT_EQ(pair.client.outstanding(), 0U);
  EXPECT_EQ(pair.client.next_timer(), Instant::never());
}

TEST(Channel, EveryRequestIsAnsweredOnceUnderLossRepeatsAndReordering) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Pair pair({.seed = seed, .drop = 0.3, .repeat = 0.3, .reorder = 0.3, .delay_max = from_ms(40)}, {.retry = from_ms(100), .outstanding_max = 1024});
    std::set<std::uint64_t> open;
    for (std::uint64_t i = 0; i < 50; ++i) open.insert(*pair.client.request(gate(i), {}, pair.in(from_seconds(60))));
    pair.run(from_seconds(30));
    while (auto done = pair.client.next()) {
      ASSERT_TRUE(done->answer);
      EXPECT_EQ(clock_of(done->answer->header), done->request) << "request n asked gate n − 1";
      EXPECT_EQ(open.erase(done->request), 1U);
    }
    EXPECT_TRUE(open.empty()) << "seed " << seed;
    EXPECT_GT(pair.transport.counts().dropped, 0U);
    EXPECT_GT(pair.served, 50);
  }
}

TEST(Channel, RepeatsAreIdenticalBytesAndBackOff) {
  SimClock clock;
  InprocTransport transport(clock);
  auto listener = transport.listen(kAddress).value();
  Channel client(transport.connect(kAddress).value(), clock, {.retry = from_ms(100), .outstanding_max = 10});
  ASSERT_TRUE(client.request(gate(1), {Frame::from(std::string("abc"))}, clock.now() + from_seconds(10)));
  std::vector<std::int64_t> at_ms;
  std::vector<std::string> bytes;
  const Instant start = clock.now();
  for (int ms = 0; ms < 4000; ++ms, clock.advance(from_ms(1))) {
    client.step();
    while (auto in = listener->receive()) {
      at_ms.push_back((clock.now() - start).ns / 1'000'000);
      std::string all;
      for (const auto& frame : in->message.frames) all.append(reinterpret_cast<const char*>(frame.data()), frame.size()).push_back('|');
      bytes.push_back(all);
    }
  }
  EXPECT_EQ(at_ms, (std::vector<std::int64_t>{0, 100, 300, 700, 1500, 2300, 3100, 3900}));
  EXPECT_EQ(std::set(bytes.begin(), bytes.end()).size(), 1U);
}

TEST(Channel, ALateRequestTimesOutAndItsAnswerIsDropped) {
  SimClock clock;
  InprocTransport transport(clock);
  Channel client(transport.connect(kAddress).value(), clock);
  const auto number = client.request(gate(1), {}, clock.now() + from_ms(50));
  EXPECT_FALSE(client.step());
  EXPECT_EQ(client.next_timer(), clock.now() + from_ms(50));
  clock.advance(from_ms(50));
  EXPECT_TRUE(client.step());
  const auto done = client.next();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->request, *number);
  EXPECT_EQ(done->answer.error().code, Errc::kTimedOut);
  Endpoint server(transport.listen(kAddress).value(), clock);  // now it gets what was queued
  const auto request = server.receive();
  ASSERT_TRUE(request);
  ASSERT_TRUE(server.reply(*request, gate(2)));
  EXPECT_TRUE(client.step());
  EXPECT_FALSE(client.next());
  EXPECT_FALSE(client.next_unasked());
}

TEST(Channel, ACancelledRequestNeverCompletes) {
  Pair pair;
  const auto number = pair.client.request(gate(1), {}, pair.in(from_ms(100)));
  pair.client.cancel(*number);
  const auto answered = pair.client.request(gate(1), {}, pair.in(from_ms(100)));
  pair.run(from_ms(10));
  pair.client.cancel(*answered);
  pair.run(from_ms(1000));
  EXPECT_FALSE(pair.client.next());
  EXPECT_EQ(pair.client.outstanding(), 0U);
}

TEST(Channel, CreditsBoundWhatIsOutstanding) {
  Pair pair({}, {.retry = from_ms(500), .outstanding_max = 2});
  EXPECT_TRUE(pair.client.request(gate(1), {}, pair.in(from_ms(1000))));
  EXPECT_TRUE(pair.client.request(gate(2), {}, pair.in(from_ms(1000))));
  EXPECT_EQ(pair.client.request(gate(3), {}, pair.in(from_ms(1000))).error().code, Errc::kFull);
  pair.run(from_ms(1));
  EXPECT_TRUE(pair.client.request(gate(3), {}, pair.in(from_ms(1000))));
}

TEST(Channel, UnaskedMessagesComeApart) {
  Pair pair;
  ASSERT_TRUE(pair.client.post(gate(5)));
  const auto request = pair.server.receive();
  ASSERT_TRUE(request);
  EXPECT_EQ(request->header.envelope.request, 0U);
  ASSERT_TRUE(pair.server.notify(request->peer, gate(6)));
  pair.client.step();
  EXPECT_FALSE(pair.client.next());
  const auto unasked = pair.client.next_unasked();
  ASSERT_TRUE(unasked);
  EXPECT_EQ(clock_of(unasked->header), 6U);
}

// --- what is not valid

/// Sends raw bytes as the header and returns the refusal, if one came.
std::optional<proto::Refused> refusal_of(std::string header_bytes, std::uint64_t* malformed) {
  SimClock clock;
  InprocTransport transport(clock);
  Endpoint server(transport.listen(kAddress).value(), clock);
  auto client = transport.connect(kAddress).value();
  Message message;
  message.frames.push_back(Frame::from(std::move(header_bytes)));
  EXPECT_TRUE(client->send(std::move(message)));
  EXPECT_FALSE(server.receive());
  *malformed = server.malformed();
  const auto answer = client->receive();
  if (!answer) return std::nullopt;
  const auto header = proto::decode(answer->frames.at(0).bytes());
  EXPECT_TRUE(header);
  return std::get<proto::Refused>(header->body);
}

TEST(Endpoint, RefusesAndCountsWhatIsNotValid) {
  proto::Header header;
  header.envelope.request = 9;
  std::uint64_t malformed = 0;
  header.body = proto::Push{static_cast<proto::PushKind>(77), proto::AckLevel::kApplied, {}};
  auto refused = refusal_of(proto::encode(header), &malformed);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, "malformed");
  EXPECT_THAT(refused->text, HasSubstr("77"));
  EXPECT_EQ(malformed, 1U);

  proto::Section section;
  section.count = proto::kSectionCountMax + 1;
  header.body = proto::Pull{{section}};
  refused = refusal_of(proto::encode(header), &malformed);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, "malformed");
  EXPECT_EQ(malformed, 1U);

  header.body = proto::LeaseRequest{};
  header.envelope.protocol = 99;
  refused = refusal_of(proto::encode(header), &malformed);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, "version");
  EXPECT_THAT(refused->text, HasSubstr("99 (theirs)"));
  EXPECT_EQ(malformed, 1U);

  for (const std::size_t size : {0, 1, 7, 8, 13, 64}) {
    EXPECT_FALSE(refusal_of(std::string(size, '\xff'), &malformed)) << "nobody can tell whose request it was";
    EXPECT_EQ(malformed, 1U);
  }
}

TEST(Channel, AnAnswerOfAnotherVersionEndsItsRequest) {
  SimClock clock;
  InprocTransport transport(clock);
  auto listener = transport.listen(kAddress).value();
  Channel client(transport.connect(kAddress).value(), clock);
  const auto number = client.request(gate(1), {}, clock.now() + from_seconds(10));
  const auto in = listener->receive();
  ASSERT_TRUE(in);
  proto::Header answer;
  answer.envelope.protocol = proto::kProtocolVersion + 1;
  answer.envelope.request = *number;
  Message message;
  message.frames.push_back(Frame::from(proto::encode(answer)));
  ASSERT_TRUE(listener->send(in->peer, std::move(message)));
  EXPECT_TRUE(client.step());
  const auto done = client.next();
  ASSERT_TRUE(done);
  EXPECT_EQ(done->answer.error().code, Errc::kCannotConnect);
  EXPECT_THAT(done->answer.error().what, HasSubstr(fmt::format("version {}", proto::kProtocolVersion + 1)));
  EXPECT_EQ(client.malformed(), 1U);
}

TEST(Channel, RubbishFromTheServerIsCountedAndTheRequestGoesOn) {
  SimClock clock;
  InprocTransport transport(clock);
  auto listener = transport.listen(kAddress).value();
  Channel client(transport.connect(kAddress).value(), clock);
  ASSERT_TRUE(client.request(gate(1), {}, clock.now() + from_seconds(10)));
  const auto in = listener->receive();
  for (const char* rubbish : {"", "12345678", "\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    Message message;
    message.frames.push_back(Frame::from(std::string(rubbish)));
    ASSERT_TRUE(listener->send(in->peer, std::move(message)));
  }
  EXPECT_TRUE(client.step());
  EXPECT_EQ(client.malformed(), 3U);
  EXPECT_EQ(client.outstanding(), 1U);
}

}  // namespace
}  // namespace sluice::net
