#pragma once
/// The two kinds of ZeroMQ socket behind Listener and Connection. Made by ZmqTransport only.

#include <sys/stat.h>

#include <string>
#include <unordered_map>
#include <zmq.hpp>

#include "net/detail/adopted_pools.h"
#include "net/detail/shared_frames.h"
#include "net/transport.h"

namespace sluice::net::detail {

/// What the sockets of one transport share; nullptr `pool`: nothing is lent, but peers' frames are still taken.
struct SharedMemory {
  Clock& clock;
  std::unique_ptr<SharedPool> pool;
  PeerPools peers;
  AdoptedPools adopted = {};

  void notice() {
    if (pool) pool->notice(clock);
    adopted.notice(clock);
  }
  [[nodiscard]] PoolName name() const { return pool ? pool->name() : PoolName{}; }
};

/// The socket file of an ipc listener: libzmq leaves it behind. Removed with its listener, if it is still the same file.
class IpcFile {
 public:
  /// `path`: empty for none.
  explicit IpcFile(std::string path);
  ~IpcFile();
  IpcFile(const IpcFile&) = delete;
  IpcFile& operator=(const IpcFile&) = delete;

 private:
  std::string path_;
  struct stat made_ {};
};

class ZmqListener final : public Listener {
 public:
  /// `shared`: nullptr where peers may be on another host.
  ZmqListener(zmq::socket_t socket, std::string address, std::string path, SharedMemory* shared)
      : socket_(std::move(socket)), address_(std::move(address)), file_(std::move(path)), shared_(shared) {}
  [[nodiscard]] std::string address() const override { return address_; }
  [[nodiscard]] std::optional<Incoming> receive() override;
  [[nodiscard]] Result<void> send(const PeerId& to, Message message) override;
  [[nodiscard]] zmq::socket_t& socket() { return socket_; }

 private:
  [[nodiscard]] bool for_us(Incoming& in);
  void greet(const PeerId& to, GreetingKind kind, bool opened);
  [[nodiscard]] Result<void> send_bytes(const PeerId& to, const Message& message);

  zmq::socket_t socket_;
  std::string address_;
  IpcFile file_;
  SharedMemory* shared_;
  std::unordered_map<std::string, ProcessId> borrowers_;  ///< peers that opened our pool, by routing id
};

class ZmqConnection final : public Connection {
 public:
  ZmqConnection(zmq::socket_t socket, zmq::socket_t monitor, std::string address, SharedMemory* shared);
  ~ZmqConnection() override;
  ZmqConnection(const ZmqConnection&) = delete;
  ZmqConnection& operator=(const ZmqConnection&) = delete;
  [[nodiscard]] std::optional<Message> receive() override;
  [[nodiscard]] Result<void> send(Message message) override;
  [[nodiscard]] bool connected() override;
  [[nodiscard]] std::string address() const override { return address_; }
  [[nodiscard]] zmq::socket_t& socket() { return socket_; }

 private:
  [[nodiscard]] bool for_us(Message& message);
  void greet(GreetingKind kind, bool opened);
  [[nodiscard]] Result<void> send_bytes(const Message& message);

  zmq::socket_t socket_;
  zmq::socket_t monitor_;
  std::string address_;
  SharedMemory* shared_;
  std::optional<ProcessId> borrower_;  ///< the listener's process, once it opened our pool
  bool connected_ = false;
  bool was_connected_ = false;
};

}  // namespace sluice::net::detail
