#include "net/detail/zmq_sockets.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/log.h"

namespace sluice::net::detail {
namespace {

constexpr std::size_t kCopyBytesMax = 512;      ///< smaller frames are cheaper copied than reference-counted
constexpr std::size_t kBorrowersMax = 1 << 14;  ///< remembered per listener; ROUTER does not say who left, so the memory is emptied when it is full

/// Large frames travel without a copy: libzmq releases our share on its I/O thread.
zmq::message_t to_zmq(const Frame& frame) {
  if (frame.size() <= kCopyBytesMax || !frame.owner()) return {frame.data(), frame.size()};
  auto* share = new std::shared_ptr<const void>(frame.owner());
  void* data = const_cast<std::byte*>(frame.data());  // libzmq's signature; it only reads
  return {data, frame.size(), [](void*, void* hint) { delete static_cast<std::shared_ptr<const void>*>(hint); }, share};
}

Frame to_frame(zmq::message_t message) {
  auto owner = std::make_shared<zmq::message_t>(std::move(message));
  const Bytes bytes{static_cast<const std::byte*>(owner->data()), owner->size()};
  return {std::move(owner), bytes};
}

/// Adds the remaining frames of a message that has begun. Of too many, one over the bound is kept: whoever reads it sees that it is wrong.
void receive_rest(zmq::socket_t& socket, bool more, Message& message) {
  while (more) {
    zmq::message_t part;
    if (!socket.recv(part, zmq::recv_flags::dontwait)) break;  // never: ZeroMQ hands over whole messages
    more = part.more();
    if (message.frames.size() <= kFramesMax) message.frames.push_back(to_frame(std::move(part)));
  }
}

std::optional<Error> unsendable(const Message& message) {
  if (!message.frames.empty() && message.frames.size() <= kFramesMax) return std::nullopt;
  return Error{Errc::kRejected, fmt::format("a message of {} frames; it must have 1 to {}", message.frames.size(), kFramesMax)};
}

/// False: the queue is full. While it sends, libzmq looks only about once a millisecond at what the peer has read in the meantime; asked for its events it does
/// so at once. Without that, a queue seems full that has long been read.
bool send_part(zmq::socket_t& socket, zmq::message_t part, zmq::send_flags flags) {
  if (socket.send(part, flags | zmq::send_flags::dontwait)) return true;
  (void)socket.get(zmq::sockopt::events);
  return socket.send(part, flags | zmq::send_flags::dontwait).has_value();
}

/// Sends frames after what was sent already. ZeroMQ takes a whole message or none: only its first part can be refused.
bool send_frames(zmq::socket_t& socket, const Message& message, bool first_may_be_refused) {
  for (std::size_t i = 0; i < message.frames.size(); ++i) {
    const auto more = i + 1 < message.frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
    if (send_part(socket, to_zmq(message.frames[i]), more)) continue;
    SLUICE_ASSERT(i == 0 && first_may_be_refused);
    return false;
  }
  return true;
}

/// Sends through `send_bytes` with the large frames lent where `borrower` can take them.
template <class Send>
Result<void> send_lent(SharedMemory& shared, const Message& message, const ProcessId& borrower, Send send_bytes) {
  const auto adopted = shared.adopted.pool_of(message);
  SharedPool& pool = adopted ? *adopted : *shared.pool;
  const auto lent = lend(pool, message, borrower, shared.clock.now());
  if (!lent) return send_bytes(message);
  auto sent = send_bytes(lent->message);
  if (!sent) pool.take_back(lent->ticket);
  return sent;
}

}  // namespace

IpcFile::IpcFile(std::string path) : path_(std::move(path)) {
  if (!path_.empty() && ::stat(path_.c_str(), &made_) != 0) path_.clear();
}
IpcFile::~IpcFile() {
  struct stat now {};
  if (!path_.empty() && ::stat(path_.c_str(), &now) == 0 && now.st_ino == made_.st_ino && now.st_dev == made_.st_dev) ::unlink(path_.c_str());
}

// --- the listening side

std::optional<Incoming> ZmqListener::receive() {
  if (shared_ != nullptr) shared_->notice();
  for (;;) {
    zmq::message_t id;
    if (!socket_.recv(id, zmq::recv_flags::dontwait)) return std::nullopt;
    Incoming in{PeerId{id.to_string()}, {}};
    receive_rest(socket_, id.more(), in.message);
    if (shared_ == nullptr || for_us(in)) return in;
  }
}

/// False: it was between the transports, or is lost.
bool ZmqListener::for_us(Incoming& in) {
  if (const auto greeting = greeting_of(in.message)) {
    const bool opened = shared_->peers.find(greeting->pool) != nullptr;
    if (greeting->kind == GreetingKind::kOffer) greet(in.peer, GreetingKind::kAnswer, opened);
    borrowers_.erase(in.peer.routing_id);
    if (greeting->kind == GreetingKind::kConfirm && greeting->opened && shared_->pool) {
      if (borrowers_.size() >= kBorrowersMax) borrowers_.clear();
      borrowers_.emplace(in.peer.routing_id, greeting->pool.process);
    }
    return false;
  }
  const Borrowed borrowed = borrow(shared_->peers, in.message);
  if (borrowed == Borrowed::kUnreadable) {
    log::warn("a peer of {} lends frames that cannot be opened; it is told to send bytes", address_);
    greet(in.peer, GreetingKind::kAnswer, false);
  }
  return borrowed == Borrowed::kNothing || borrowed == Borrowed::kAll;
}

void ZmqListener::greet(const PeerId& to, GreetingKind kind, bool opened) {
  Message message;
  message.frames.push_back(encode(Greeting{kind, opened, shared_->name()}));
  (void)send_bytes(to, message);  // without it the peer goes on sending bytes
}

Result<void> ZmqListener::send(const PeerId& to, Message message) {
  if (const auto wrong = unsendable(message)) return fail(*wrong);
  const auto send = [&](const Message& it) { return send_bytes(to, it); };
  const auto borrower = borrowers_.find(to.routing_id);
  if (borrower == borrowers_.end()) return send(message);
  auto sent = send_lent(*shared_, message, borrower->second, send);
  if (!sent && sent.error().code == Errc::kCannotConnect) borrowers_.erase(borrower);
  return sent;
}

Result<void> ZmqListener::send_bytes(const PeerId& to, const Message& message) {
  try {
    zmq::message_t id(to.routing_id.data(), to.routing_id.size());
    if (!send_part(socket_, std::move(id), zmq::send_flags::sndmore)) return fail(Errc::kFull, "the peer's queue is full");
    (void)send_frames(socket_, message, false);
    return {};
  } catch (const zmq::error_t& error) { return fail(Errc::kCannotConnect, fmt::format("the peer is gone: {}", error.what())); }
}

// --- the connecting side

ZmqConnection::ZmqConnection(zmq::socket_t socket, zmq::socket_t monitor, std::string address, SharedMemory* shared)
    : socket_(std::move(socket)), monitor_(std::move(monitor)), address_(std::move(address)), shared_(shared) {
  if (shared_ != nullptr) greet(GreetingKind::kOffer, false);
}

ZmqConnection::~ZmqConnection() { (void)zmq_socket_monitor(socket_.handle(), nullptr, 0); }  // ends the monitor before either socket closes

std::optional<Message> ZmqConnection::receive() {
  if (shared_ != nullptr) shared_->notice();
  for (;;) {
    zmq::message_t first;
    if (!socket_.recv(first, zmq::recv_flags::dontwait)) return std::nullopt;
    const bool more = first.more();
    Message message;
    message.frames.push_back(to_frame(std::move(first)));
    receive_rest(socket_, more, message);
    if (shared_ == nullptr || for_us(message)) return message;
  }
}

bool ZmqConnection::for_us(Message& message) {
  if (const auto greeting = greeting_of(message)) {
    borrower_.reset();
    if (greeting->opened && shared_->pool) borrower_ = greeting->pool.process;
    greet(GreetingKind::kConfirm, shared_->peers.find(greeting->pool) != nullptr);
    return false;
  }
  const Borrowed borrowed = borrow(shared_->peers, message);
  if (borrowed == Borrowed::kUnreadable) {
    log::warn("{} lends frames that cannot be opened; it is told to send bytes", address_);
    greet(GreetingKind::kConfirm, false);
  }
  return borrowed == Borrowed::kNothing || borrowed == Borrowed::kAll;
}

void ZmqConnection::greet(GreetingKind kind, bool opened) {
  Message message;
  message.frames.push_back(encode(Greeting{kind, opened, shared_->name()}));
  (void)send_bytes(message);  // without it the peer goes on sending bytes
}

Result<void> ZmqConnection::send(Message message) {
  if (const auto wrong = unsendable(message)) return fail(*wrong);
  const auto send = [&](const Message& it) { return send_bytes(it); };
  return borrower_ ? send_lent(*shared_, message, *borrower_, send) : send(message);
}

Result<void> ZmqConnection::send_bytes(const Message& message) {
  try {
    if (!send_frames(socket_, message, true)) return fail(Errc::kFull, "the connection's queue is full");
    return {};
  } catch (const zmq::error_t& error) { return fail(Errc::kCannotConnect, error.what()); }
}

bool ZmqConnection::connected() {
  for (;;) {
    zmq::message_t event;
    if (!monitor_.recv(event, zmq::recv_flags::dontwait)) return connected_;
    zmq::message_t address;
    if (event.more()) (void)monitor_.recv(address, zmq::recv_flags::dontwait);
    if (event.size() < sizeof(std::uint16_t)) continue;
    const auto kind = load<std::uint16_t>(static_cast<const std::byte*>(event.data()));
    if (kind == ZMQ_EVENT_DISCONNECTED) {
      connected_ = false;
      borrower_.reset();  // who comes next may be another process
    } else if (kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
      if (was_connected_ && shared_ != nullptr) greet(GreetingKind::kOffer, false);
      connected_ = was_connected_ = true;
    }
  }
}

}  // namespace sluice::net::detail
