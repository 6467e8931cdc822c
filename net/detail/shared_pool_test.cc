#include "net/detail/shared_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "base/rng.h"
#include "net/detail/peer_pools.h"
#include "net/detail/shared_frames.h"

namespace sluice::net::detail {
namespace {

constexpr std::size_t kBlock = 256 * 1024;
constexpr Instant kStart{1};
Instant after_ms(std::int64_t ms) { return kStart + from_ms(ms); }

Frame filled(SharedPool& pool, char with, std::size_t bytes = kBlock) {
  auto frame = pool.allocate(bytes, kStart).value();
  std::memset(frame.bytes().data(), with, bytes);
  return std::move(frame).finish();
}

/// A message of a header and one shared frame.
Message message_with(Frame frame) {
  Message out;
  out.frames.push_back(Frame::from(std::string("header")));
  out.frames.push_back(std::move(frame));
  return out;
}

TEST(SharedPool, BlocksAreApartAlignedAndReused) {
  const auto pool = SharedPool::make(std::size_t{64} << 20);
  ASSERT_NE(pool, nullptr);
  std::set<const std::byte*> seen;
  for (int round = 0; round < 100; ++round) {
    std::vector<WritableFrame> frames;
    for (const std::size_t bytes : {kSharedBytesMin, kSharedBytesMin + 1, kBlock, std::size_t{814'080}}) {
      frames.push_back(pool->allocate(bytes, kStart).value());
      ASSERT_EQ(frames.back().bytes().size(), bytes);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(frames.back().bytes().data()) % 64, 0U);
      std::memset(frames.back().bytes().data(), static_cast<int>(frames.size()), bytes);
      seen.insert(frames.back().bytes().data());
    }
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto bytes = frames[i].bytes();
      ASSERT_EQ(std::to_integer<std::size_t>(bytes.front()), i + 1);
      ASSERT_EQ(std::to_integer<std::size_t>(bytes.back()), i + 1);
    }
  }
  EXPECT_EQ(seen.size(), 4U);
  EXPECT_EQ(pool->figures().blocks, 0U);
  EXPECT_LT(pool->figures().bytes_touched, std::size_t{2} << 20);
}

TEST(SharedPool, AFullPoolGivesNothing) {
  const auto pool = SharedPool::make(4 * kBlock);
  std::vector<WritableFrame> held;
  for (int i = 0; i < 4; ++i) held.push_back(pool->allocate(kBlock, kStart).value());
  EXPECT_FALSE(pool->allocate(kBlock, kStart));
  EXPECT_FALSE(pool->allocate(SIZE_MAX, kStart));
  held.pop_back();
  EXPECT_TRUE(pool->allocate(kBlock, kStart));
}

TEST(SharedPool, ALoanKeepsItsFrameUntilTheReceiverReleasesIt) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  auto lent = lend(*pool, message_with(filled(*pool, 'a')), this_process(), kStart);
  ASSERT_TRUE(lent);
  pool->sweep(after_ms(1000));
  EXPECT_EQ(pool->figures().blocks, 1U);  // sent
  ASSERT_EQ(borrow(peers, lent->message), Borrowed::kAll);
  ASSERT_EQ(lent->message.frames.size(), 2U);
  Frame kept = lent->message.frames[1];
  EXPECT_EQ(kept.size(), kBlock);
  EXPECT_EQ(kept.data()[kBlock - 1], std::byte{'a'});
  lent->message = {};
  pool->sweep(after_ms(3'600'000));
  EXPECT_EQ(pool->figures().blocks, 1U) << "held by a living process, for however long";
  EXPECT_EQ(kept.data()[kBlock - 1], std::byte{'a'});
  kept = {};
  pool->sweep(kStart);
  EXPECT_EQ(pool->figures().blocks, 0U);
  EXPECT_EQ(pool->figures().loans, 0U);
}

TEST(SharedPool, AMessageThatNeverArrivesIsTakenBackAndIsThenTooLate) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  auto lent = lend(*pool, message_with(filled(*pool, 'a')), this_process(), kStart);
  ASSERT_TRUE(lent);
  pool->sweep(after_ms(59'000));
  EXPECT_EQ(pool->figures().loans, 1U);
  pool->sweep(after_ms(60'001));
  EXPECT_EQ(pool->figures().loans, 0U);
  EXPECT_EQ(pool->figures().blocks, 0U);
  auto next = lend(*pool, message_with(filled(*pool, 'b')), this_process(), after_ms(60'002));  // the same slot and block again
  EXPECT_EQ(borrow(peers, lent->message), Borrowed::kLost);
  EXPECT_EQ(borrow(peers, next->message), Borrowed::kAll);
}

TEST(SharedPool, AMessageIsTakenOnce) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  auto lent = lend(*pool, message_with(filled(*pool, 'a')), this_process(), kStart);
  Message again = lent->message;
  EXPECT_EQ(borrow(peers, lent->message), Borrowed::kAll);
  EXPECT_EQ(borrow(peers, again), Borrowed::kLost);
  auto unsent = lend(*pool, message_with(filled(*pool, 'a')), this_process(), kStart);
  pool->take_back(unsent->ticket);
  EXPECT_EQ(borrow(peers, unsent->message), Borrowed::kLost);
}

TEST(SharedPool, OneFrameMayBeLentToMany) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  Message message = message_with(filled(*pool, 'a'));
  std::vector<Message> received;
  for (int i = 0; i < 10; ++i) {
    received.push_back(lend(*pool, message, this_process(), kStart)->message);
    ASSERT_EQ(borrow(peers, received.back()), Borrowed::kAll);
  }
  message = {};
  while (!received.empty()) {
    pool->sweep(kStart);
    EXPECT_EQ(pool->figures().blocks, 1U);
    received.pop_back();
  }
  pool->sweep(kStart);
  EXPECT_EQ(pool->figures().blocks, 0U);
}

TEST(SharedPool, WhatADeadProcessHeldComesBack) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  ProcessId dead = this_process();
  ++dead.start_time;  // our number, given to a process before us
  EXPECT_FALSE(alive(dead));
  EXPECT_TRUE(alive(this_process()));
  EXPECT_FALSE(alive({}));
  auto of_living = lend(*pool, message_with(filled(*pool, 'l')), this_process(), kStart);
  auto of_dead = lend(*pool, message_with(filled(*pool, 'd')), dead, kStart);
  ASSERT_EQ(borrow(peers, of_living->message), Borrowed::kAll);
  ASSERT_EQ(borrow(peers, of_dead->message), Borrowed::kAll);
  pool->sweep(after_ms(1000));
  EXPECT_EQ(pool->figures().blocks, 2U) << "nobody is asked for so soon";
  for (int second = 10; second < 20; ++second) pool->sweep(after_ms(second * 1000));  // one is asked for each time
  EXPECT_EQ(pool->figures().blocks, 1U);
  EXPECT_EQ(of_living->message.frames.at(1).data()[0], std::byte{'l'});
}

/// Shared memory that is mapped and counts as this process's.
std::size_t shared_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssShmem:")) return std::stoul(line.substr(9)) * 1024;
  }
  return 0;
}

TEST(PeerPool, OfALargePoolOnlyWhatIsHeldStaysMapped) {
  constexpr std::size_t kLarge = std::size_t{32} << 20;
  const auto pool = SharedPool::make(2 * kLarge);
  PeerPools peers;
  auto lent = lend(*pool, message_with(filled(*pool, 'a', kLarge)), this_process(), kStart);
  const std::size_t before = shared_resident_bytes();
  ASSERT_EQ(borrow(peers, lent->message), Borrowed::kAll);
  unsigned sum = 0;
  for (const std::byte b : lent->message.frames[1].bytes()) sum += std::to_integer<unsigned>(b);
  EXPECT_EQ(sum, static_cast<unsigned>(kLarge * 'a'));
  EXPECT_GE(shared_resident_bytes(), before + kLarge / 2);
  lent->message = {};
  EXPECT_LE(shared_resident_bytes(), before + kLarge / 8);
  auto next = lend(*pool, message_with(filled(*pool, 'b')), this_process(), kStart);
  ASSERT_EQ(borrow(peers, next->message), Borrowed::kAll);
  EXPECT_EQ(next->message.frames[1].data()[kBlock - 1], std::byte{'b'}) << "what comes next is mapped anew";
}

TEST(PeerPool, OnlyTheRightPoolIsOpened) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  EXPECT_NE(PeerPool::open(pool->name()), nullptr);
  const auto refused = [&](auto change) {
    PoolName name = pool->name();
    change(name);
    return PeerPool::open(name) == nullptr;
  };
  EXPECT_TRUE(refused([](auto& n) { n.id[0] ^= 1; }));
  EXPECT_TRUE(refused([](auto& n) { n.process.start_time ^= 1; }));
  EXPECT_TRUE(refused([](auto& n) { n.data_fd = 0; }));
  EXPECT_TRUE(refused([](auto& n) { std::swap(n.data_fd, n.control_fd); }));
  EXPECT_TRUE(refused([](auto& n) { n.control_fd = -1; }));
  EXPECT_TRUE(refused([](auto& n) { n.process.pid = 0x7fffffff; }));
  EXPECT_TRUE(refused([](auto& n) { n = {}; }));
}

TEST(SharedFrames, OnlyLargeFramesOfThePoolAreLentAndNeverTheHeader) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  const Frame shared = filled(*pool, 's');
  const Frame small(shared.owner(), shared.bytes().first(kSharedBytesMin - 1));
  const Frame heap = Frame::from(std::string(kBlock, 'h'));
  Message message;
  message.frames = {heap, small, heap};
  EXPECT_FALSE(lend(*pool, message, this_process(), kStart));
  message.frames = {shared};
  EXPECT_FALSE(lend(*pool, message, this_process(), kStart)) << "a header";
  message.frames = {heap, shared, small, shared, heap, shared};
  auto lent = lend(*pool, message, this_process(), kStart);
  ASSERT_TRUE(lent);
  EXPECT_EQ(lent->message.frames.size(), 1U + 3U);
  ASSERT_EQ(borrow(peers, lent->message), Borrowed::kAll);
  ASSERT_EQ(lent->message.frames.size(), message.frames.size());
  for (std::size_t i = 0; i < message.frames.size(); ++i) {
    const Bytes want = message.frames[i].bytes(), got = lent->message.frames[i].bytes();
    ASSERT_EQ(got.size(), want.size());
    EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size()), 0);
  }
}

TEST(SharedFrames, ALyingPeerIsRefusedAndNothingIsReadBeyondThePool) {
  const auto pool = SharedPool::make(std::size_t{16} << 20);
  PeerPools peers;
  SeededRng rng(1);
  std::map<Borrowed, int> ends;
  for (int i = 0; i < 3000; ++i) {
    auto lent = lend(*pool, message_with(filled(*pool, 'a', kSharedBytesMin)), this_process(), kStart);
    ASSERT_TRUE(lent);
    std::string leading(reinterpret_cast<const char*>(lent->message.frames[0].data()), lent->message.frames[0].size());
    for (std::uint64_t n = rng.below(3); n > 0; --n) leading[rng.below(leading.size())] ^= static_cast<char>(1 << rng.below(8));
    if (rng.below(10) == 0) leading.resize(rng.below(leading.size()));
    if (rng.below(10) == 0) lent->message.frames.push_back(Frame::from(std::string("more")));
    lent->message.frames[0] = Frame::from(leading);
    const Borrowed end = borrow(peers, lent->message);
    ++ends[end];
    unsigned sum = 0;
    for (const auto& frame : lent->message.frames) {
      for (const std::byte b : frame.bytes()) sum += std::to_integer<unsigned>(b);  // whatever was handed out can be read
    }
    EXPECT_GT(sum, 0U);
    if (end != Borrowed::kAll) pool->take_back(lent->ticket);
  }
  for (const Borrowed end : {Borrowed::kNothing, Borrowed::kAll, Borrowed::kLost, Borrowed::kUnreadable}) EXPECT_GT(ends[end], 0);
}

TEST(SharedFrames, GreetingsRoundTripAndAnythingElseIsNone) {
  Greeting greeting;
  greeting.kind = GreetingKind::kConfirm;
  greeting.opened = true;
  greeting.pool.id[1] = 7;
  greeting.pool.process = {5, 6};
  Message message;
  message.frames.push_back(encode(greeting));
  const auto back = greeting_of(message);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->kind, greeting.kind);
  EXPECT_TRUE(back->opened);
  EXPECT_EQ(back->pool, greeting.pool);
  message.frames.push_back(Frame());
  EXPECT_FALSE(greeting_of(message));
  message.frames = {Frame::from(std::string(message.frames[0].size(), 'x'))};
  EXPECT_FALSE(greeting_of(message));
  EXPECT_FALSE(greeting_of(Message{}));
}

}  // namespace
}  // namespace sluice::net::detail
