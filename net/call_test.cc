#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "base/executor.h"
#include "net/channel.h"
#include "net/inproc_transport.h"

namespace sluice::net {
namespace {

using ::testing::HasSubstr;

/// Answers every Call with what `answer` makes of it, in its own thread.
class FakeManager {
 public:
  FakeManager(Transport& transport, Clock& clock, std::function<std::optional<proto::Header>(const proto::Call&)> answer)
      : endpoint_(transport.listen("inproc://manager").value(), clock), poller_(transport.poller()), answer_(std::move(answer)) {
    threads_.run("manager", [this] { serve(); });
  }
  ~FakeManager() {
    stopping_ = true;
    poller_->wake();
    threads_.join();
  }
  FakeManager(const FakeManager&) = delete;
  FakeManager& operator=(const FakeManager&) = delete;
  [[nodiscard]] int calls() const { return calls_; }

 private:
  void serve() {
    poller_->add(endpoint_.listener());
    while (!stopping_) {
      while (const auto request = endpoint_.receive()) {
        ++calls_;
        if (auto header = answer_(std::get<proto::Call>(request->header.body))) (void)endpoint_.reply(*request, std::move(*header));
      }
      poller_->wait(Instant::never());
    }
    poller_->remove(endpoint_.listener());
  }
  Endpoint endpoint_;
  std::unique_ptr<Poller> poller_;
  std::function<std::optional<proto::Header>(const proto::Call&)> answer_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> calls_{0};
  ThreadExecutor threads_;
};

proto::Header with(proto::Body body) {
  proto::Header header;
  header.body = std::move(body);
  return header;
}

class CallTest : public ::testing::Test {
 protected:
  [[nodiscard]] Result<std::string> ask(int deadline_ms = 5000) { return call(transport_, clock_, "inproc://manager", "ps", "{}", from_ms(deadline_ms)); }
  SystemClock clock_;
  InprocTransport transport_{clock_};
};

TEST_F(CallTest, ReturnsTheAnswersJson) {
  const FakeManager manager(transport_, clock_, [](const proto::Call& asked) { return with(proto::CallReply{asked.verb + asked.json}); });
  EXPECT_EQ(ask(), "ps{}");
}

TEST_F(CallTest, ARefusalIsItsErrorInItsWords) {
  const FakeManager manager(transport_, clock_, [](const proto::Call&) {
    return with(proto::Refused{proto::RefusalKind::kError, "not_found", "no job 'x'", ""});
  });
  const auto result = ask();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kNotFound);
  EXPECT_EQ(result.error().what, "no job 'x'");
}

TEST_F(CallTest, EveryKindOfErrorSurvivesTheWire) {
  for (const Errc code : {Errc::kJobFailed, Errc::kBadConfig, Errc::kBadData, Errc::kCannotConnect, Errc::kDenied, Errc::kUnplaceable, Errc::kTimedOut,
                          Errc::kPartlyDone, Errc::kInternal, Errc::kInterrupted, Errc::kRejected, Errc::kNotFound, Errc::kFull, Errc::kMalformed, Errc::kIo}) {
    const FakeManager manager(transport_, clock_, [code](const proto::Call&) {
      return with(proto::Refused{proto::RefusalKind::kError, std::string(name_of(code)), "why", ""});
    });
    EXPECT_EQ(ask().error().code, code);
  }
}

TEST_F(CallTest, NobodyThereIsSaidWithTheAddress) {
  const auto result = ask(30);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kCannotConnect);
  EXPECT_THAT(result.error().what, HasSubstr("no manager at inproc://manager"));
}

TEST_F(CallTest, ASilentManagerIsAskedOnce) {
  const FakeManager manager(transport_, clock_, [](const proto::Call&) { return std::nullopt; });
  const auto result = ask(1000);  // long enough that even on a busy machine it is heard
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kCannotConnect);
  EXPECT_THAT(result.error().what, HasSubstr("did not answer"));
  EXPECT_EQ(manager.calls(), 1);
}

TEST_F(CallTest, AnotherVersionIsSaid) {
  const FakeManager manager(transport_, clock_, [](const proto::Call&) {
    auto header = with(proto::CallReply{"{}"});
    header.envelope.protocol = proto::kProtocolVersion + 1;
    return header;
  });
  const auto result = ask();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kCannotConnect);
  EXPECT_THAT(result.error().what, HasSubstr(fmt::format("version {}", proto::kProtocolVersion + 1)));
}

TEST_F(CallTest, AWrongKindOfAnswerAndAWrongAddressAreSaid) {
  const FakeManager manager(transport_, clock_, [](const proto::Call&) { return with(proto::Done{}); });
  EXPECT_EQ(ask().error().code, Errc::kMalformed);
  EXPECT_EQ(call(transport_, clock_, "nonsense", "ps", "{}", from_ms(10)).error().code, Errc::kBadConfig);
}

}  // namespace
}  // namespace sluice::net
