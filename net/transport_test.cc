#include "net/transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "base/executor.h"
#include "base/rng.h"
#include "net/inproc_transport.h"
#include "net/zmq_transport.h"

namespace sluice::net {
namespace {

using ::testing::HasSubstr;

/// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string form = (std::filesystem::temp_directory_path() / "sluice-net-XXXXXX").string();
    path_ = mkdtemp(form.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A TCP port that nobody listens on: not found with a Listener, whose port closes a little after it is destroyed.
int free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof any;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&any), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&any), &size), 0);
  close(fd);
  return ntohs(any.sin_port);
}

constexpr int kQueue = 64;  ///< messages_max of the transports under test

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Transport>(Clock&)> make;
  std::function<std::string(const Folder&)> address;  ///< to listen on
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

std::unique_ptr<Transport> zmq_transport(Clock& clock) {
  ZmqOptions options;
  options.queue_messages_max = kQueue;
  return std::make_unique<ZmqTransport>(clock, options);
}
std::unique_ptr<Transport> inproc_transport(Clock& clock) {
  return std::make_unique<InprocTransport>(clock, InprocOptions{.queue_messages_max = kQueue, .faults = {}});
}

/// What every transport promises (net/transport.h), for every transport.
class TransportContract : public ::testing::TestWithParam<Kind> {
 protected:
  [[nodiscard]] std::string address() const { return GetParam().address(folder_); }
  [[nodiscard]] Instant in_ms(int ms) const { return clock_.now() + from_ms(ms); }

  /// Waits until `done`, looking again whenever the poller says so. False after ten seconds.
  bool until(Poller& poller, const std::function<bool()>& done) {
    const Instant end = in_ms(10'000);
    while (!done()) {
      if (clock_.now() > end) return false;
      poller.wait(in_ms(20));
    }
    return true;
  }
  template <class Socket>
  auto next(Poller& poller, Socket& socket) {
    decltype(socket.receive()) got;
    until(poller, [&] { return (got = socket.receive()).has_value(); });
    return got;
  }

  Folder folder_;
  SystemClock clock_;
  std::unique_ptr<Transport> transport_ = GetParam().make(clock_);
};

Message message_of(std::initializer_list<std::string> frames) {
  Message out;
  for (const auto& frame : frames) out.frames.push_back(Frame::from(frame));
  return out;
}
std::string text_of(const Frame& frame) { return {reinterpret_cast<const char*>(frame.data()), frame.size()}; }
std::vector<std::string> texts_of(const Message& message) {
  std::vector<std::string> out;
  for (const auto& frame : message.frames) out.push_back(text_of(frame));
  return out;
}

TEST_P(TransportContract, AskAndAnswer) {
  const auto listener = transport_->listen(address()).value();
  const auto connection = transport_->connect(listener->address()).value();
  EXPECT_EQ(connection->address(), listener->address());
  const auto poller = transport_->poller();
  poller->add(*listener);
  poller->add(*connection);
  ASSERT_TRUE(connection->send(message_of({"header", "", "payload"})));
  const auto in = next(*poller, *listener);
  ASSERT_TRUE(in);
  EXPECT_EQ(texts_of(in->message), (std::vector<std::string>{"header", "", "payload"}));
  ASSERT_TRUE(listener->send(in->peer, message_of({"answer"})));
  const auto out = next(*poller, *connection);
  ASSERT_TRUE(out);
  EXPECT_EQ(texts_of(*out), (std::vector<std::string>{"answer"}));
  EXPECT_TRUE(connection->connected());
  poller->remove(*listener);
  poller->remove(*connection);
}

TEST_P(TransportContract, MessagesOfEachPeerArriveWholeInOrderAndOnce) {
  constexpr int kPeers = 20, kEach = 50;
  const auto listener = transport_->listen(address()).value();
  const auto poller = transport_->poller();
  poller->add(*listener);
  std::vector<std::unique_ptr<Connection>> peers;
  for (int p = 0; p < kPeers; ++p) peers.push_back(transport_->connect(listener->address()).value());
  SeededRng rng(1);
  std::map<int, std::vector<Message>> sent;
  for (int i = 0; i < kEach; ++i) {
    for (int p = 0; p < kPeers; ++p) {
      Message message = message_of({std::to_string(p), std::to_string(i)});
      for (std::uint64_t more = rng.below(4); more > 0; --more)
        message.frames.push_back(Frame::from(std::string(rng.below(3000), static_cast<char>('a' + i % 26))));
      sent[p].push_back(message);
      ASSERT_TRUE(peers[static_cast<std::size_t>(p)]->send(std::move(message)));
    }
  }
  std::map<int, int> got;
  std::map<PeerId, int> who;
  for (int n = 0; n < kPeers * kEach; ++n) {
    const auto in = next(*poller, *listener);
    ASSERT_TRUE(in);
    const int p = std::stoi(text_of(in->message.frames.at(0)));
    EXPECT_EQ(who.emplace(in->peer, p).first->second, p);
    EXPECT_EQ(texts_of(in->message), texts_of(sent[p][static_cast<std::size_t>(got[p]++)]));
  }
  EXPECT_EQ(who.size(), static_cast<std::size_t>(kPeers));
  poller->wait(in_ms(20));
  EXPECT_FALSE(listener->receive());
}

TEST_P(TransportContract, LargeFramesArriveUnchangedWhereverTheyWereBorn) {
  constexpr std::size_t kFloats = 64 * 1024;
  const auto listener = transport_->listen(address()).value();
  const auto connection = transport_->connect(listener->address()).value();
  const auto poller = transport_->poller();
  poller->add(*listener);
  poller->add(*connection);
  for (int round = 0; round < 20; ++round) {
    Message message = message_of({"header"});
    for (int f = 0; f < 4; ++f) {
      auto frame = transport_->allocate(kFloats * sizeof(float));
      ASSERT_EQ(frame.floats().size(), kFloats);
      ASSERT_EQ(reinterpret_cast<std::uintptr_t>(frame.floats().data()) % 64, 0U);
      for (std::size_t i = 0; i < kFloats; ++i) frame.floats()[i] = static_cast<float>(round * 4 + f) + static_cast<float>(i);
      message.frames.push_back(std::move(frame).finish());
    }
    ASSERT_TRUE(connection->send(std::move(message)));
    auto in = next(*poller, *listener);
    ASSERT_TRUE(in);
    ASSERT_EQ(in->message.frames.size(), 5U);
    for (int f = 0; f < 4; ++f) {
      const Frame& frame = in->message.frames[static_cast<std::size_t>(f) + 1];
      ASSERT_EQ(frame.size(), kFloats * sizeof(float));
      for (std::size_t i = 0; i < kFloats; i += 997) ASSERT_EQ(load<float>(frame.data() + i * 4), static_cast<float>(round * 4 + f) + static_cast<float>(i));
    }
    ASSERT_TRUE(listener->send(in->peer, std::move(in->message)));  // and back, the same frames
    const auto back = next(*poller, *connection);
    ASSERT_TRUE(back);
    EXPECT_EQ(load<float>(back->frames.at(4).data() + 4 * (kFloats - 1)), static_cast<float>(round * 4 + 3) + static_cast<float>(kFloats - 1));
  }
}

TEST_P(TransportContract, AFrameOutlivesItsConnectionAndTransport) {
  Frame kept;
  {
    const auto listener = transport_->listen(address()).value();
    const auto connection = transport_->connect(listener->address()).value();
    const auto poller = transport_->poller();
    poller->add(*listener);
    auto frame = transport_->allocate(100'000);
    std::fill(frame.bytes().begin(), frame.bytes().end(), std::byte{7});
    Message message = message_of({"h"});
    message.frames.push_back(std::move(frame).finish());
    ASSERT_TRUE(connection->send(std::move(message)));
    kept = next(*poller, *listener)->message.frames.at(1);
  }
  transport_.reset();
  EXPECT_EQ(kept.size(), 100'000U);
  EXPECT_EQ(kept.data()[0], std::byte{7});
  EXPECT_EQ(kept.data()[99'999], std::byte{7});
}

TEST_P(TransportContract, AFullQueueIsAnErrorAndNothingIsLost) {
  const auto listener = transport_->listen(address()).value();
  const auto connection = transport_->connect(listener->address()).value();
  int sent = 0;
  Result<void> result;
  for (; sent < 100'000; ++sent) {
    result = connection->send(message_of({std::to_string(sent), std::string(10'000, 'x')}));
    if (!result) break;
  }
  ASSERT_FALSE(result) << "nobody reads and everything was taken";
  EXPECT_EQ(result.error().code, Errc::kFull);
  EXPECT_GE(sent, kQueue);
  const auto poller = transport_->poller();
  poller->add(*listener);
  PeerId peer;
  for (int i = 0; i < sent; ++i) {
    const auto in = next(*poller, *listener);
    ASSERT_TRUE(in) << i << " of " << sent;
    ASSERT_EQ(text_of(in->message.frames[0]), std::to_string(i));
    peer = in->peer;
  }
  EXPECT_TRUE(until(*poller, [&] { return connection->send(message_of({"again"})).has_value(); }));

  int answered = 0;  // and the other way
  for (; answered < 100'000; ++answered) {
    result = listener->send(peer, message_of({std::to_string(answered), std::string(10'000, 'x')}));
    if (!result) break;
  }
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::kFull);
  poller->add(*connection);
  for (int i = 0; i < answered; ++i) {
    const auto out = next(*poller, *connection);
    ASSERT_TRUE(out);
    ASSERT_EQ(text_of(out->frames[0]), std::to_string(i));
  }
}

TEST_P(TransportContract, AMessageOfNoOrTooManyFramesIsRejected) {
  const auto listener = transport_->listen(address()).value();
  const auto connection = transport_->connect(listener->address()).value();
  EXPECT_EQ(connection->send(Message{}).error().code, Errc::kRejected);
  Message many;
  many.frames.assign(kFramesMax + 1, Frame::from(std::string("x")));
  EXPECT_EQ(connection->send(many).error().code, Errc::kRejected);
  EXPECT_EQ(listener->send({"nobody"}, many).error().code, Errc::kRejected);
  many.frames.pop_back();
  EXPECT_TRUE(connection->send(many));
  const auto poller = transport_->poller();
  poller->add(*listener);
  EXPECT_EQ(next(*poller, *listener)->message.frames.size(), kFramesMax);
}

TEST_P(TransportContract, ALostPeerIsReported) {
  auto listener = transport_->listen(address()).value();
  auto connection = transport_->connect(listener->address()).value();
  auto poller = transport_->poller();
  poller->add(*listener);
  ASSERT_TRUE(connection->send(message_of({"hello"})));
  const auto in = next(*poller, *listener);
  ASSERT_TRUE(in);
  EXPECT_TRUE(until(*poller, [&] { return connection->connected(); }));
  auto other = transport_->connect(listener->address()).value();
  EXPECT_TRUE(until(*poller, [&] { return other->connected(); }));

  connection.reset();
  EXPECT_TRUE(until(*poller, [&] {
    EXPECT_FALSE(listener->receive());
    const auto result = listener->send(in->peer, message_of({"anybody?"}));
    return !result && result.error().code == Errc::kCannotConnect;
  }));
  EXPECT_EQ(listener->send({"never-seen"}, message_of({"x"})).error().code, Errc::kCannotConnect);

  poller->remove(*listener);
  listener.reset();
  EXPECT_TRUE(until(*poller, [&] { return !other->connected(); }));
}

TEST_P(TransportContract, ConnectsBeforeAndReconnectsAfterTheListenerIsThere) {
  std::string at = address();
  if (at.ends_with('*')) at = "tcp://127.0.0.1:" + std::to_string(free_port());
  const auto connection = transport_->connect(at).value();
  EXPECT_FALSE(connection->connected());
  ASSERT_TRUE(connection->send(message_of({"early"})));
  const auto poller = transport_->poller();
  poller->add(*connection);
  for (const char* expected : {"early", "later"}) {
    std::unique_ptr<Listener> listener;
    ASSERT_TRUE(until(*poller, [&] {  // the port of the one before may take a moment
      auto result = transport_->listen(at);
      if (result) listener = std::move(*result);
      return result.has_value();
    }));
    poller->add(*listener);
    const auto in = next(*poller, *listener);
    ASSERT_TRUE(in);
    EXPECT_EQ(text_of(in->message.frames[0]), expected);
    ASSERT_TRUE(listener->send(in->peer, message_of({"answer"})));
    ASSERT_TRUE(next(*poller, *connection));
    poller->remove(*listener);
    listener.reset();
    EXPECT_TRUE(until(*poller, [&] { return !connection->connected(); }));
    ASSERT_TRUE(connection->send(message_of({"later"})));
  }
}

TEST_P(TransportContract, ATakenAddressIsRefusedAndItsOwnerKeepsIt) {
  const auto listener = transport_->listen(address()).value();
  const auto other = GetParam().name == std::string("inproc") ? nullptr : GetParam().make(clock_);
  const auto second = (other ? other : transport_)->listen(listener->address());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::kCannotConnect);
  EXPECT_THAT(second.error().what, HasSubstr("already in use"));
  EXPECT_THAT(second.error().what, HasSubstr(listener->address()));
  const auto connection = transport_->connect(listener->address()).value();
  const auto poller = transport_->poller();
  poller->add(*listener);
  ASSERT_TRUE(connection->send(message_of({"x"})));
  EXPECT_TRUE(next(*poller, *listener));
}

TEST_P(TransportContract, AddressesOfNoKnownFormAreRefused) {
  for (const char* wrong : {"", "nowhere", "udp://1.2.3.4:5", "tcp://", "inproc://"}) {
    EXPECT_EQ(transport_->listen(wrong).error().code, Errc::kCannotConnect) << wrong;
    EXPECT_EQ(transport_->connect(wrong).error().code, Errc::kBadConfig) << wrong;
  }
}

TEST_P(TransportContract, AWaitEndsAtItsTimeAndByAWake) {
  const auto listener = transport_->listen(address()).value();
  const auto poller = transport_->poller();
  poller->add(*listener);
  poller->wait(Instant{0});  // past
  const Instant before = clock_.now();
  poller->wait(in_ms(30));
  EXPECT_GE((clock_.now() - before).ms(), 29);

  poller->wake();
  poller->wait(Instant::never());  // a wake before is not lost
  std::atomic<bool> waiting{true};
  ThreadExecutor threads;
  threads.run("waker", [&] {
    const auto own = transport_->poller();
    while (waiting) {
      own->wait(clock_.now() + from_ms(5));
      poller->wake();
    }
  });
  poller->wait(Instant::never());
  waiting = false;
  threads.join();
}

TEST_P(TransportContract, AThreadWakesForAMessageOfAnother) {
  const auto listener = transport_->listen(address()).value();
  const std::string at = listener->address();
  ThreadExecutor threads;
  constexpr int kRounds = 200;
  const auto woken_by = [&](Poller& poller, auto& socket) {  // one wait, long enough that only a message ends it
    auto got = socket.receive();
    for (const Instant end = in_ms(10'000); !got && clock_.now() < end; got = socket.receive()) poller.wait(end);
    return got;
  };
  threads.run("asker", [&] {
    const auto connection = transport_->connect(at).value();
    const auto poller = transport_->poller();
    poller->add(*connection);
    for (int i = 0; i < kRounds; ++i) {
      ASSERT_TRUE(connection->send(message_of({std::to_string(i)}))) << i;
      const auto answer = woken_by(*poller, *connection);
      ASSERT_TRUE(answer) << i;
      EXPECT_EQ(text_of(answer->frames[0]), std::to_string(i));
    }
  });
  const auto poller = transport_->poller();
  poller->add(*listener);
  for (int i = 0; i < kRounds; ++i) {
    auto in = woken_by(*poller, *listener);
    ASSERT_TRUE(in) << i;
    ASSERT_TRUE(listener->send(in->peer, std::move(in->message))) << i;
  }
  threads.join();
}

/// Half a queue: how much of a queue was read may be told in halves.
TEST_P(TransportContract, AQueueThatWasReadIsNotFull) {
  const auto listener = transport_->listen(address()).value();
  const auto connection = transport_->connect(listener->address()).value();
  const auto poller = transport_->poller();
  poller->add(*listener);
  poller->add(*connection);
  for (int burst = 0; burst < 500; ++burst) {
    for (int i = 0; i < kQueue / 2; ++i) ASSERT_TRUE(connection->send(message_of({"ask"}))) << burst;
    PeerId peer;
    for (int i = 0; i < kQueue / 2; ++i) {
      const auto in = next(*poller, *listener);
      ASSERT_TRUE(in) << burst;
      peer = in->peer;
    }
    for (int i = 0; i < kQueue / 2; ++i) ASSERT_TRUE(listener->send(peer, message_of({"answer"}))) << burst;
    for (int i = 0; i < kQueue / 2; ++i) ASSERT_TRUE(next(*poller, *connection)) << burst;
  }
}

INSTANTIATE_TEST_SUITE_P(Each, TransportContract,
                         ::testing::Values(Kind{"inproc", inproc_transport, [](const Folder&) { return std::string("inproc://here"); }},
                                           Kind{"ipc", zmq_transport, [](const Folder& folder) { return "ipc://" + folder.path() + "/s"; }},
                                           Kind{"tcp", zmq_transport, [](const Folder&) { return std::string("tcp://127.0.0.1:*"); }}),
                         [](const auto& kind) { return std::string(kind.param.name); });

// --- shared memory behind ipc

/// A listener and a connection that have greeted each other.
struct Greeted {
  explicit Greeted(ZmqOptions options) : transport(clock, options) {
    listener = transport.listen("ipc://" + folder.path() + "/s").value();
    connection = transport.connect(listener->address()).value();
    poller = transport.poller();
    poller->add(*listener);
    poller->add(*connection);
    peer = at_listener({Frame::from(std::string("hello"))}).peer;
    (void)at_connection({Frame::from(std::string("hello"))});
    (void)at_listener({Frame::from(std::string("confirmed by now"))});
  }
  Incoming at_listener(std::vector<Frame> frames) {
    EXPECT_TRUE(connection->send({std::move(frames)}));
    std::optional<Incoming> in;
    while (!(in = listener->receive())) poller->wait(clock.now() + from_ms(100));
    return std::move(*in);
  }
  Message at_connection(std::vector<Frame> frames) {
    EXPECT_TRUE(listener->send(peer, {std::move(frames)}));
    std::optional<Message> in;
    while (!(in = connection->receive())) poller->wait(clock.now() + from_ms(100));
    return std::move(*in);
  }
  Folder folder;
  SystemClock clock;
  ZmqTransport transport;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> connection;
  std::unique_ptr<Poller> poller;
  PeerId peer;
};

TEST(Ipc, LargeFramesAreReadWhereTheyWereWritten) {
  Greeted pair{ZmqOptions{}};
  for (const bool answer : {false, true}) {
    auto writable = pair.transport.allocate(100'000);
    const auto bytes = writable.bytes();
    bytes[5] = std::byte{1};
    std::vector<Frame> frames = {Frame::from(std::string("header")), std::move(writable).finish()};
    const Message got = answer ? pair.at_connection(std::move(frames)) : pair.at_listener(std::move(frames)).message;
    ASSERT_EQ(got.frames.at(1).size(), 100'000U);
    EXPECT_EQ(got.frames[1].data()[5], std::byte{1});
    bytes[5] = std::byte{2};  // against the rules, to see that no copy was made
    EXPECT_EQ(got.frames[1].data()[5], std::byte{2});
    EXPECT_NE(got.frames[1].data(), bytes.data()) << "the receiver's own mapping, which it cannot write to";
  }
}

TEST(Ipc, ASenderThatOnlyReceivesNoticesWhatWasReleased) {
  Greeted pair{ZmqOptions{}};
  std::weak_ptr<const void> owner;
  Message got;
  {
    const Frame values = pair.transport.allocate(100'000).finish();
    const auto mine = std::make_shared<const Frame>(values);  // what a server counts its readers by
    owner = mine;
    got = pair.at_connection({Frame::from(std::string("header")), Frame(mine, values.bytes())});
  }
  EXPECT_FALSE(pair.listener->receive());
  EXPECT_FALSE(owner.expired());
  got = {};
  EXPECT_FALSE(pair.listener->receive());
  EXPECT_TRUE(owner.expired());
}

TEST(Ipc, WhenThePoolIsFullOrOffBytesTravel) {
  for (const std::size_t shared_bytes_max : {std::size_t{0}, std::size_t{1} << 20}) {
    ZmqOptions options;
    options.shared_bytes_max = shared_bytes_max;
    Greeted pair{options};
    std::vector<Message> kept;  // holds on to everything: the pool is soon lent out
    for (int i = 0; i < 50; ++i) {
      auto writable = pair.transport.allocate(256 * 1024);
      std::fill(writable.bytes().begin(), writable.bytes().end(), static_cast<std::byte>(i));
      kept.push_back(pair.at_listener({Frame::from(std::string("header")), std::move(writable).finish()}).message);
    }
    for (int i = 0; i < 50; ++i) {
      const Frame& frame = kept[static_cast<std::size_t>(i)].frames.at(1);
      ASSERT_EQ(frame.size(), 256U * 1024U);
      EXPECT_EQ(frame.data()[0], static_cast<std::byte>(i));
      EXPECT_EQ(frame.data()[frame.size() - 1], static_cast<std::byte>(i));
    }
  }
}

// --- ipc paths

TEST(Ipc, AStaleSocketFileIsTakenOverAndOtherFilesAreNot) {
  const Folder folder;

  SystemClock clock;
  ZmqTransport transport(clock);
  const std::string path = folder.path() + "/stale";
  const int dead = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  path.copy(target.sun_path, sizeof target.sun_path - 1);
  ASSERT_EQ(bind(dead, reinterpret_cast<sockaddr*>(&target), sizeof target), 0);
  close(dead);  // its file stays, as after SIGKILL
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_TRUE(transport.listen("ipc://" + path));

  const std::string file = folder.path() + "/notes.txt";
  std::ofstream(file) << "mine";
  const auto refused = transport.listen("ipc://" + file);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::kCannotConnect);
  EXPECT_TRUE(std::filesystem::exists(file));
}

TEST(Ipc, ImpossiblePathsAreSaidInWords) {
  const Folder folder;
  SystemClock clock;
  ZmqTransport transport(clock);
  const std::string longest = "ipc://" + folder.path() + "/" + std::string(107 - folder.path().size() - 1, 'x');
  EXPECT_TRUE(transport.listen(longest));
  const auto too_long = transport.listen(longest + "x");
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().code, Errc::kCannotConnect);
  EXPECT_THAT(too_long.error().what, HasSubstr("too long"));
  EXPECT_THAT(transport.connect(longest + "x").error().what, HasSubstr("too long"));
  const auto no_folder = transport.listen("ipc://" + folder.path() + "/none/s");
  ASSERT_FALSE(no_folder);
  EXPECT_THAT(no_folder.error().what, HasSubstr("folder"));
}

TEST(Ipc, AListenersFileGoesWithIt) {
  const Folder folder;
  SystemClock clock;
  {
    ZmqTransport transport(clock);
    const auto listener = transport.listen("ipc://" + folder.path() + "/s").value();
    EXPECT_TRUE(std::filesystem::exists(folder.path() + "/s"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace sluice::net
