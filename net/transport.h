#pragma once
/// Moves messages between processes; knows nothing of learning. Two kinds: ZeroMQ (tcp://, ipc://) and in-process (inproc://, deterministic, with faults).
/// Contract suite: net/transport_test.cc.
///
/// Promises: messages of one connection arrive in order, whole, at most once (faults injected on purpose aside); a full queue is an error, never a silent drop;
/// a lost peer is reported. Sockets belong to one thread: the one that calls them.

#include <compare>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace sluice::net {

/// Bytes and what keeps them alive. Cheap to copy (shares); the bytes must not change after a send. Safe to release on any thread.
class Frame {
 public:
  Frame() = default;
  Frame(std::shared_ptr<const void> owner, Bytes bytes) : owner_(std::move(owner)), bytes_(bytes) {}
  /// Takes the string over (no copy of long ones).
  [[nodiscard]] static Frame from(std::string bytes);
  /// Takes the vector over.
  [[nodiscard]] static Frame from(std::vector<float> values);
  [[nodiscard]] Bytes bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] const std::byte* data() const { return bytes_.data(); }
  [[nodiscard]] const std::shared_ptr<const void>& owner() const { return owner_; }

 private:
  std::shared_ptr<const void> owner_;
  Bytes bytes_;
};

/// Bytes to write values into that become a Frame without a copy. One owner; writable until finish(). Aligned to 64 bytes, content unspecified.
class WritableFrame {
 public:
  WritableFrame() = default;
  WritableFrame(std::shared_ptr<const void> owner, std::span<std::byte> bytes) : owner_(std::move(owner)), bytes_(bytes) {}
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// The bytes as floats; REQUIRES: their number is a multiple of 4.
  [[nodiscard]] std::span<float> floats() const { return {reinterpret_cast<float*>(bytes_.data()), bytes_.size() / sizeof(float)}; }
  /// The first `size` bytes as a Frame; nobody writes to them afterwards.
  [[nodiscard]] Frame finish(std::size_t size) && { return {std::move(owner_), Bytes(bytes_).first(size)}; }
  [[nodiscard]] Frame finish() && { return std::move(*this).finish(bytes_.size()); }

 private:
  std::shared_ptr<const void> owner_;
  std::span<std::byte> bytes_;
};

/// Frame 0 is the header. At most kFramesMax frames.
struct Message {
  std::vector<Frame> frames;
};
inline constexpr std::size_t kFramesMax = 1024;

/// A connected peer as a listener sees it: valid while the peer is connected.
struct PeerId {
  std::string routing_id;
  friend auto operator<=>(const PeerId&, const PeerId&) = default;
};

struct Incoming {
  PeerId peer;
  Message message;
};

/// The side that binds. One thread.
class Listener {
 public:
  virtual ~Listener() = default;
  /// The address to connect to (with the port that was picked).
  [[nodiscard]] virtual std::string address() const = 0;
  /// The next message, if one is there. Never blocks.
  [[nodiscard]] virtual std::optional<Incoming> receive() = 0;
  /// Errors: kCannotConnect (the peer is gone), kFull (its queue is full: try later), kRejected (no frame, or more than kFramesMax).
  [[nodiscard]] virtual Result<void> send(const PeerId& to, Message message) = 0;
};

/// The side that connects, and reconnects by itself. One thread.
class Connection {
 public:
  virtual ~Connection() = default;
  [[nodiscard]] virtual std::optional<Message> receive() = 0;
  /// Errors: kFull, kRejected (no frame, or more than kFramesMax). While the peer is away messages queue up to the bound.
  [[nodiscard]] virtual Result<void> send(Message message) = 0;
  /// True from the first handshake until the peer hangs up or stops answering.
  [[nodiscard]] virtual bool connected() = 0;
  /// What was connected to, for people.
  [[nodiscard]] virtual std::string address() const = 0;
};

/// Waits for any of several sockets. One thread, but for wake(). Sockets must be removed before they are destroyed.
class Poller {
 public:
  virtual ~Poller() = default;
  virtual void add(Listener& listener) = 0;
  virtual void add(Connection& connection) = 0;
  virtual void remove(Listener& listener) = 0;
  virtual void remove(Connection& connection) = 0;
  /// Blocks until a socket is readable, wake() was called, or `until` has passed. May return early.
  virtual void wait(Instant until) = 0;
  /// Ends the current or next wait(). Any thread.
  virtual void wake() = 0;
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// Errors: kCannotConnect naming the address and what is wrong with it (in use, no permission, bad form). tcp port "*" picks one. Any thread.
  [[nodiscard]] virtual Result<std::unique_ptr<Listener>> listen(const std::string& address) = 0;
  /// Returns at once, connected or not yet. Errors: kBadConfig (address's form). Any thread.
  [[nodiscard]] virtual Result<std::unique_ptr<Connection>> connect(const std::string& address) = 0;
  [[nodiscard]] virtual std::unique_ptr<Poller> poller() = 0;
  /// Memory for large frames that are to be sent: where the transport has a faster place than the heap (shared memory for ipc), the frame is born there. Gone
  /// back for reuse when the last Frame over it is released, here and at the receiver. Never fails for want of shared memory: then it is heap. Any thread.
  [[nodiscard]] virtual WritableFrame allocate(std::size_t bytes);
};

}  // namespace sluice::net
