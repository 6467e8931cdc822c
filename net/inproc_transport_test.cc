#include "net/inproc_transport.h"

#include <gtest/gtest.h>

#include <set>

namespace sluice::net {
namespace {

constexpr int kMessages = 300;

/// Sends kMessages numbers, one a simulated millisecond, and returns what arrived: (number, arrival).
std::vector<std::pair<int, std::int64_t>> arrivals(const Faults& faults, FaultCounts* counts = nullptr) {
  SimClock clock;
  InprocTransport transport(clock, {.queue_messages_max = 4096, .faults = faults});
  const auto listener = transport.listen("inproc://a").value();
  const auto connection = transport.connect("inproc://a").value();
  std::vector<std::pair<int, std::int64_t>> out;
  for (int i = 0; i < kMessages || transport.next_delivery() != Instant::never(); ++i) {
    clock.advance(from_ms(1));
    if (i < kMessages) {
      Message message;
      message.frames.push_back(Frame::from(std::to_string(i)));
      EXPECT_TRUE(connection->send(std::move(message)));
    }
    while (const auto in = listener->receive()) {
      const Frame& frame = in->message.frames.at(0);
      out.emplace_back(std::stoi(std::string(reinterpret_cast<const char*>(frame.data()), frame.size())), clock.now().ns / 1'000'000);
    }
  }
  if (counts != nullptr) *counts = transport.counts();
  return out;
}

TEST(Inproc, TheSameSeedIsTheSameRun) {
  Faults faults{.seed = 5, .drop = 0.2, .repeat = 0.2, .reorder = 0.2, .delay_max = from_ms(30)};
  const auto first = arrivals(faults);
  EXPECT_EQ(arrivals(faults), first);
  faults.seed = 6;
  EXPECT_NE(arrivals(faults), first);
}

TEST(Inproc, FaultsDoWhatTheySayAndAreCounted) {
  FaultCounts counts;
  auto got = arrivals({.seed = 1, .drop = 0.3, .repeat = 0, .reorder = 0, .delay_max = {}}, &counts);
  EXPECT_EQ(got.size(), kMessages - counts.dropped);
  EXPECT_NEAR(static_cast<double>(counts.dropped), 0.3 * kMessages, 40);
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end()));

  got = arrivals({.seed = 1, .drop = 0, .repeat = 0.3, .reorder = 0, .delay_max = {}}, &counts);
  EXPECT_EQ(got.size(), kMessages + counts.repeated);
  EXPECT_GT(counts.repeated, 0U);
  EXPECT_EQ(std::set(got.begin(), got.end()).size(), static_cast<std::size_t>(kMessages));

  got = arrivals({.seed = 1, .drop = 0, .repeat = 0, .reorder = 0, .delay_max = from_ms(50)}, &counts);
  EXPECT_EQ(got.size(), static_cast<std::size_t>(kMessages));
  EXPECT_TRUE(std::is_sorted(got.begin(), got.end())) << "delays alone keep the order";
  std::int64_t late = 0;
  for (const auto& [number, at] : got) {
    EXPECT_GE(at - 1001, number);
    EXPECT_LE(at - 1001, number + 51);
    late += at - 1001 - number > 10 ? 1 : 0;
  }
  EXPECT_GT(late, kMessages / 2);

  got = arrivals({.seed = 1, .drop = 0, .repeat = 0, .reorder = 0.3, .delay_max = from_ms(50)}, &counts);
  EXPECT_EQ(got.size(), static_cast<std::size_t>(kMessages));
  std::vector<int> order;
  for (const auto& [number, at] : got) order.push_back(number);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  EXPECT_GT(counts.reordered, 0U);
}

TEST(Inproc, NextDeliveryIsTheEarliestStillToCome) {
  SimClock clock;
  InprocTransport transport(clock, {.queue_messages_max = 10, .faults = {.seed = 3, .drop = 0, .repeat = 0, .reorder = 0, .delay_max = from_ms(100)}});
  EXPECT_EQ(transport.next_delivery(), Instant::never());
  const auto listener = transport.listen("inproc://a").value();
  const auto connection = transport.connect("inproc://a").value();
  Message message;
  message.frames.push_back(Frame::from(std::string("x")));
  ASSERT_TRUE(connection->send(std::move(message)));
  const Instant due = transport.next_delivery();
  ASSERT_GT(due, clock.now());
  ASSERT_LE(due, clock.now() + from_ms(100));
  EXPECT_FALSE(listener->receive());
  clock.advance_to(due);
  EXPECT_EQ(transport.next_delivery(), Instant::never()) << "it is there: an executor must not wait for it";
  EXPECT_TRUE(listener->receive());
}

TEST(Inproc, ADeadProcessTakesWhatWasQueuedForItAndWhatItSentArrives) {
  SimClock clock;
  InprocTransport transport(clock);
  auto listener = transport.listen("inproc://a").value();
  auto connection = transport.connect("inproc://a").value();
  const auto send = [&](const char* text) {
    Message message;
    message.frames.push_back(Frame::from(std::string(text)));
    return connection->send(std::move(message)).has_value();
  };
  ASSERT_TRUE(send("lost"));
  listener.reset();
  EXPECT_FALSE(connection->connected());
  ASSERT_TRUE(send("kept"));
  listener = transport.listen("inproc://a").value();
  EXPECT_TRUE(connection->connected());
  auto in = listener->receive();
  ASSERT_TRUE(in);
  EXPECT_EQ(in->message.frames[0].size(), 4U);
  EXPECT_EQ(std::to_integer<char>(in->message.frames[0].data()[0]), 'k');
  EXPECT_FALSE(listener->receive());
  ASSERT_TRUE(send("last words"));
  connection.reset();
  EXPECT_TRUE(listener->receive());
  EXPECT_EQ(listener->send(in->peer, in->message).error().code, Errc::kCannotConnect);
}

}  // namespace
}  // namespace sluice::net
