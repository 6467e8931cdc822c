/// A home's lane tells the others to apply a clock, until each has.

#include "server/detail/apply_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/inproc_transport.h"
#include "server/detail/harness_test.h"

namespace sluice::server {
namespace {

using testing::HasSubstr;

/// Two lanes that answer what the test says.
class ApplyCallsTest : public testing::Test {
 protected:
  ApplyCallsTest() {
    for (int i = 0; i < 2; ++i) lanes.push_back(std::make_unique<net::Endpoint>(*transport.listen(address(i)), clock));
  }
  static std::string address(int lane) { return "inproc://lane-" + std::to_string(lane); }
  void begin(std::uint64_t clock_number, std::vector<std::string> to) {
    proto::Envelope envelope;
    envelope.job = kJob;
    calls.begin(envelope, proto::Apply{clock_number, 4, {{Incarnation(1), 2, 3}}}, std::move(to));
  }
  /// The next Apply that the lane hears, answered (or not).
  std::optional<proto::Apply> hear(int lane, std::optional<proto::Body> answer) {
    for (int i = 0; i < 30'000; ++i) {
      clock.advance_to(clock.now() + from_ms(1));
      (void)calls.step();
      while (const auto request = lanes[static_cast<std::size_t>(lane)]->receive()) {
        const auto* apply = std::get_if<proto::Apply>(&request->header.body);
        EXPECT_NE(apply, nullptr);
        EXPECT_EQ(request->header.envelope.job, kJob);
        if (answer) (void)lanes[static_cast<std::size_t>(lane)]->reply(*request, {request->header.envelope, *answer});
        (void)calls.step();
        return *apply;
      }
    }
    return std::nullopt;
  }
  SimClock clock;
  net::InprocTransport transport{clock};
  std::unique_ptr<net::Poller> poller = transport.poller();
  std::vector<std::unique_ptr<net::Endpoint>> lanes;
  ApplyCalls calls{transport, clock, *poller};
};

TEST_F(ApplyCallsTest, IsOverWhenEveryLaneHasAnsweredHoweverOftenItMustAsk) {
  begin(5, {address(0), address(1)});
  EXPECT_EQ(hear(0, proto::Refused{proto::RefusalKind::kBehind, "behind", "no slot table", ""})->clock, 5U);
  EXPECT_TRUE(hear(0, proto::Done{})) << "asked again";
  EXPECT_TRUE(calls.take_finished().empty());
  EXPECT_TRUE(hear(1, std::nullopt));
  EXPECT_TRUE(hear(1, std::nullopt)) << "an answer that got lost";
  const auto apply = hear(1, proto::Done{});
  EXPECT_EQ(*apply, (proto::Apply{5, 4, {{Incarnation(1), 2, 3}}}));
  const auto finished = calls.take_finished();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_EQ(finished[0].job, kJob);
  EXPECT_EQ(finished[0].clock, 5U);
  EXPECT_FALSE(finished[0].error);
  EXPECT_TRUE(calls.take_finished().empty());
  EXPECT_EQ(calls.next_timer(), Instant::never());
}

TEST_F(ApplyCallsTest, WithNoOtherLaneItIsOverAtOnce) {
  begin(5, {});
  EXPECT_EQ(calls.take_finished().size(), 1U);
}

TEST_F(ApplyCallsTest, ALaneThatCanNotEndsItWithItsWords) {
  begin(5, {address(0), address(1)});
  EXPECT_TRUE(hear(0, proto::Refused{proto::RefusalKind::kError, "rejected", "float 0 is inf", ""}));
  const auto finished = calls.take_finished();
  ASSERT_EQ(finished.size(), 1U);
  EXPECT_THAT(finished[0].error->what, HasSubstr("inproc://lane-0 refused clock 5: float 0 is inf"));
}

TEST_F(ApplyCallsTest, AJobThatIsOverIsNotHeardOfAgain) {
  begin(5, {address(0)});
  calls.forget(kJob);
  EXPECT_TRUE(hear(0, proto::Done{})) << "it was on its way";
  EXPECT_TRUE(calls.take_finished().empty());
  begin(6, {});
  calls.forget(kJob);
  EXPECT_TRUE(calls.take_finished().empty());
}

}  // namespace
}  // namespace sluice::server
