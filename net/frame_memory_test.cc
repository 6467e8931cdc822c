#include "net/frame_memory.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "net/detail/adopted_pools.h"
#include "net/detail/shared_frames.h"
#include "net/zmq_transport.h"

namespace sluice::net {
namespace {

constexpr std::size_t kValues = 100'000, kFileBytes = std::size_t{1} << 20;

/// What another process has that mapped a memory file before it was adopted.
class OtherMapping {
 public:
  explicit OtherMapping(int fd) : data_(static_cast<std::byte*>(::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0))) {}
  ~OtherMapping() { ::munmap(data_, kFileBytes); }
  OtherMapping(const OtherMapping&) = delete;
  OtherMapping& operator=(const OtherMapping&) = delete;
  [[nodiscard]] std::byte* data() const { return data_; }

 private:
  std::byte* data_;
};

MemoryFile file_of(std::size_t bytes) {
  MemoryFile file;
  EXPECT_TRUE(file.create() && file.set_size(bytes));
  return file;
}

Message framed(Frame frame) {
  Message out;
  out.frames = {Frame::from(std::string("header")), std::move(frame)};
  return out;
}

TEST(MemoryFile, OnceSealedNobodyElseCanMapItForWritingAndNobodyCanChangeItsSize) {
  MemoryFile file = file_of(kFileBytes);
  const OtherMapping before(file.fd());
  ASSERT_TRUE(file.seal());
  EXPECT_EQ(::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.fd(), 0), MAP_FAILED);
  EXPECT_NE(::ftruncate(file.fd(), 4096), 0);
  EXPECT_NE(::ftruncate(file.fd(), 2 * kFileBytes), 0);
  before.data()[7] = std::byte{9};
  EXPECT_EQ(file.bytes()[7], std::byte{9}) << "whoever had it goes on";
}

TEST(FrameMemory, WhatAnotherProcessWroteIsReadWhereItWasWritten) {
  const std::string folder = std::filesystem::temp_directory_path() / ("sluice-frames-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  SystemClock clock;
  ZmqTransport transport(clock);
  {
    const auto listener = transport.listen("ipc://" + folder + "/s").value();
    const auto connection = transport.connect("ipc://" + folder + "/s").value();
    const auto poller = transport.poller();
    poller->add(*listener);
    poller->add(*connection);
    MemoryFile file = file_of(kFileBytes);
    const std::byte* const first = file.bytes().data();
    const OtherMapping other(file.fd());
    const auto memory = transport.adopt(file);
    ASSERT_NE(memory, nullptr);
    bool lent = false;
    for (int i = 0; i < 200 && !lent; ++i) {  // until both ends have greeted each other, bytes travel
      auto writable = memory->allocate(kValues, 64);
      ASSERT_TRUE(writable);
      ASSERT_EQ(writable->bytes().size(), kValues);
      std::byte* const there = other.data() + (writable->bytes().data() - first);
      there[5] = std::byte{1};
      ASSERT_TRUE(connection->send(framed(std::move(*writable).finish())));
      std::optional<Incoming> in;
      while (!(in = listener->receive())) {
        (void)connection->receive();
        poller->wait(clock.now() + from_ms(10));
      }
      ASSERT_EQ(in->message.frames.at(1).size(), kValues);
      EXPECT_EQ(in->message.frames[1].data()[5], std::byte{1});
      there[5] = std::byte{2};  // against the rules, to see that no copy was made
      lent = in->message.frames[1].data()[5] == std::byte{2};
      (void)connection->receive();
    }
    EXPECT_TRUE(lent);
    poller->remove(*listener);
    poller->remove(*connection);
  }
  std::filesystem::remove_all(folder);
}

TEST(FrameMemory, ATransportThatLendsNothingLeavesTheFileToItsOwner) {
  SystemClock clock;
  ZmqOptions options;
  options.shared_bytes_max = 0;
  ZmqTransport transport(clock, options);
  MemoryFile file = file_of(kFileBytes);
  EXPECT_EQ(transport.adopt(file), nullptr);
  EXPECT_EQ(file.bytes().size(), kFileBytes);
}

TEST(FrameMemory, AFullOneGivesNothingUntilFramesComeBack) {
  detail::AdoptedPools pools;
  SystemClock clock;
  MemoryFile file = file_of(kFileBytes);
  const auto memory = pools.adopt(file, clock);
  EXPECT_TRUE(file.bytes().empty()) << "taken over";
  std::vector<WritableFrame> held;
  while (auto frame = memory->allocate(kValues, 64)) held.push_back(std::move(*frame));
  EXPECT_GE(held.size(), 8U);
  held.pop_back();
  EXPECT_TRUE(memory->allocate(kValues, 64));
}

/// So that a job's end, or its move, leaves nothing behind at a server that goes on; but not while a message is under way.
TEST(FrameMemory, IsClosedOnceItIsLetGoAndItsLoansAreOver) {
  detail::AdoptedPools pools;
  detail::PeerPools peers;
  SystemClock clock;
  MemoryFile first = file_of(kFileBytes), second = file_of(kFileBytes);
  auto memory = pools.adopt(first, clock);
  Message message = framed(std::move(*memory->allocate(kValues, 64)).finish());
  auto pool = pools.pool_of(message);
  ASSERT_NE(pool, nullptr);
  EXPECT_EQ(pools.pool_of(framed(Frame::from(std::string(kValues, 'x')))), nullptr);
  auto lent = lend(*pool, message, detail::this_process(), clock.now());
  ASSERT_TRUE(lent);
  const detail::PoolName name = pool->name();
  const std::weak_ptr<detail::SharedPool> life = pool;
  pool.reset();
  memory.reset();
  EXPECT_FALSE(life.expired()) << "a message of it is under way";
  EXPECT_EQ(pools.pool_of(message), nullptr) << "what is sent from now on travels as bytes";
  ASSERT_EQ(borrow(peers, lent->message), detail::Borrowed::kAll);
  std::weak_ptr<detail::PeerPool> there = peers.find(name);
  EXPECT_FALSE(there.lock()->said_closed());
  lent->message = {};
  message = {};
  auto next = pools.adopt(second, clock);
  EXPECT_TRUE(life.expired());
  ASSERT_FALSE(there.expired());
  EXPECT_TRUE(there.lock()->said_closed());
  auto of_next = framed(std::move(*next->allocate(kValues, 64)).finish());
  EXPECT_NE(peers.find(pools.pool_of(of_next)->name()), nullptr);
  EXPECT_TRUE(there.expired()) << "its memory goes when another is met";
}

/// A job that failed while a message of its was under way is perhaps the last one with a slot process: nothing else comes that would clean up after it.
TEST(FrameMemory, IsClosedWhenItsLastLoanComesBackThoughNoOtherIsAdopted) {
  detail::AdoptedPools pools;
  detail::PeerPools peers;
  SimClock clock;
  MemoryFile file = file_of(kFileBytes);
  auto memory = pools.adopt(file, clock);
  Message message = framed(std::move(*memory->allocate(kValues, 64)).finish());
  auto pool = pools.pool_of(message);
  ASSERT_NE(pool, nullptr);
  auto lent = lend(*pool, message, detail::this_process(), clock.now());
  ASSERT_TRUE(lent);
  ASSERT_EQ(borrow(peers, lent->message), detail::Borrowed::kAll);
  const std::weak_ptr<detail::SharedPool> life = pool;
  pool.reset(), memory.reset();
  message = {};
  const auto look = [&] {
    clock.advance(detail::AdoptedPools::kLookEvery);
    pools.notice(clock);
  };
  look();
  EXPECT_FALSE(life.expired()) << "the receiver has it";
  lent->message = {};
  look();
  EXPECT_TRUE(life.expired());
}

}  // namespace
}  // namespace sluice::net
