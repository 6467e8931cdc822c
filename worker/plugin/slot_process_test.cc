#include "worker/plugin/slot_process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>

#include "worker/model.h"
#include "worker/plugin/fake_host.h"

namespace sluice::worker::plugin {
namespace {

using fixtures::comes_to_hold;
using fixtures::honest_process;
using fixtures::lying_process;
using testing::HasSubstr;

Result<Reply> hello(SlotProcess& process) {
  Call call;
  return process.call(call);
}

TEST(SlotProcess, GetsReadyByItselfAndAnswers) {
  const auto process = honest_process();
  EXPECT_TRUE(process->alive());
  EXPECT_TRUE(comes_to_hold([&] { return process->ready(); }));
  for (int i = 0; i < 3; ++i) {
    const auto reply = hello(*process);
    ASSERT_TRUE(reply.has_value()) << reply.error().what;
    EXPECT_EQ(reply->status, Status::kOk);
  }
  EXPECT_TRUE(process->alive());
}

TEST(SlotProcess, ACallWaitsForOneThatIsNotReadyYet) { EXPECT_TRUE(hello(*honest_process()).has_value()); }

TEST(SlotProcess, OneThatIsKilledIsDeadForEveryCallWithItsSignal) {
  const auto process = honest_process();
  ASSERT_TRUE(hello(*process).has_value());
  ::kill(process->pid(), SIGKILL);
  EXPECT_TRUE(comes_to_hold([&] { return !process->alive(); }));
  EXPECT_FALSE(process->alive());
  for (int i = 0; i < 2; ++i) {
    const auto reply = hello(*process);
    ASSERT_FALSE(reply.has_value());
    EXPECT_EQ(reply.error().code, Errc::kJobFailed);
    EXPECT_EQ(reply.error().what, "was killed by SIGKILL");
  }
}

TEST(SlotProcess, OneThatDiesBeforeItIsReadySaysSo) {
  const auto process = honest_process();
  ::kill(process->pid(), SIGTERM);  // its parent's signals are not blocked in it
  EXPECT_THAT(hello(*process).error().what, HasSubstr("was killed by SIGTERM"));
}

/// A process that waits for its job may be killed long after it got ready, and nobody has looked at it in between.
TEST(SlotProcess, OneThatEndedAfterItGotReadyIsNotAlive) {
  ASSERT_TRUE(comes_to_hold([] { return fixtures::children().empty(); })) << "of tests before";
  const auto process = lying_process("gone");
  ASSERT_TRUE(comes_to_hold([] { return fixtures::children().empty(); }));
  EXPECT_FALSE(process->alive());
}

TEST(SlotProcess, NoneIsLeftBehind) {
  ASSERT_TRUE(comes_to_hold([] { return fixtures::children().empty(); })) << "of tests before";
  {
    const auto first = honest_process(), second = honest_process();
    EXPECT_EQ(fixtures::children().size(), 2U);
  }
  EXPECT_TRUE(comes_to_hold([&] { return fixtures::children().empty(); }));
}

TEST(SlotProcess, AnAnswerThatMakesNoSenseEndsIt) {
  for (const char* lie : {"number", "status"}) {
    const auto process = lying_process(lie);
    EXPECT_THAT(hello(*process).error().what, HasSubstr("its answer makes no sense")) << lie;
    EXPECT_TRUE(comes_to_hold([&] { return !process->alive(); })) << lie;
  }
}

TEST(SlotProcess, WordsWithoutAnEndAreCut) {
  const auto process = lying_process("words");
  const auto reply = hello(*process);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(std::string(reply->text).size(), sizeof(Reply::text) - 1);
}

TEST(SharedFile, GrowsNeverShrinksAndOnceSealedIsWrittenThroughNoOtherMapping) {
  SharedFile file;
  ASSERT_TRUE(file.create("a-test"));
  ASSERT_TRUE(file.grow(5000));
  EXPECT_GE(file.bytes(), 5000U);
  file.data()[4999] = std::byte{7};
  const std::uint64_t bytes = file.bytes();
  ASSERT_TRUE(file.grow(10));
  EXPECT_EQ(file.bytes(), bytes);
  ASSERT_TRUE(file.grow(1'000'000));
  EXPECT_EQ(file.data()[4999], std::byte{7});
  EXPECT_NE(::ftruncate(file.fd(), 100), 0) << "a reader of it would be ended by a signal";
  ASSERT_TRUE(file.seal());
  EXPECT_EQ(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0), MAP_FAILED);
  EXPECT_NE(::ftruncate(file.fd(), 1 << 30), 0);
  file.data()[0] = std::byte{8};  // the mapping that was there goes on
  void* const read = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.fd(), 0);
  ASSERT_NE(read, MAP_FAILED);
  EXPECT_EQ(*static_cast<std::byte*>(read), std::byte{8});
  ::munmap(read, 4096);
}

}  // namespace
}  // namespace sluice::worker::plugin
