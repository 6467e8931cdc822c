#include "net/zmq_transport.h"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <zmq.hpp>

#include "base/assert.h"
#include "net/detail/zmq_sockets.h"

namespace sluice::net {
namespace {

constexpr std::string_view kIpc = "ipc://";
constexpr std::size_t kIpcPathMax = sizeof(sockaddr_un::sun_path) - 1;

void apply_options(zmq::socket_t& socket, const ZmqOptions& options) {
  socket.set(zmq::sockopt::linger, options.drain_ms);
  socket.set(zmq::sockopt::maxmsgsize, options.message_bytes_max);
  constexpr int kGreetings = 2;  // of our own (shared_frames.h) must not take a user's place
  socket.set(zmq::sockopt::sndhwm, options.queue_messages_max + kGreetings);
  socket.set(zmq::sockopt::rcvhwm, options.queue_messages_max + kGreetings);
  socket.set(zmq::sockopt::heartbeat_ivl, options.heartbeat_ms);
  socket.set(zmq::sockopt::heartbeat_timeout, options.heartbeat_timeout_ms);
  socket.set(zmq::sockopt::heartbeat_ttl, options.heartbeat_timeout_ms);
}

class ZmqPoller final : public Poller {
 public:
  explicit ZmqPoller(Clock& clock) : clock_(clock), event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    SLUICE_ASSERT(event_ >= 0);
    items_.push_back({nullptr, event_, ZMQ_POLLIN, 0});
  }
  ~ZmqPoller() override { close(event_); }
  ZmqPoller(const ZmqPoller&) = delete;
  ZmqPoller& operator=(const ZmqPoller&) = delete;

  void add(Listener& listener) override { items_.push_back({handle(listener), 0, ZMQ_POLLIN, 0}); }
  void add(Connection& connection) override { items_.push_back({handle(connection), 0, ZMQ_POLLIN, 0}); }
  void remove(Listener& listener) override { erase(handle(listener)); }
  void remove(Connection& connection) override { erase(handle(connection)); }

  void wait(Instant until) override {
    constexpr std::int64_t kWaitMsMax = 60'000;
    long timeout_ms = -1;
    if (until != Instant::never()) {
      const Duration left = until - clock_.now();
      timeout_ms = left.ns <= 0 ? 0 : static_cast<long>(std::min<std::int64_t>((left.ns + 999'999) / 1'000'000, kWaitMsMax));
    }
    if (zmq_poll(items_.data(), static_cast<int>(items_.size()), timeout_ms) > 0 && (items_[0].revents & ZMQ_POLLIN) != 0) {
      std::uint64_t count = 0;
      (void)!read(event_, &count, sizeof count);
    }
  }

  void wake() override {
    const std::uint64_t one = 1;
    (void)!write(event_, &one, sizeof one);
  }

 private:
  static void* handle(Listener& listener) { return dynamic_cast<detail::ZmqListener&>(listener).socket().handle(); }
  static void* handle(Connection& connection) { return dynamic_cast<detail::ZmqConnection&>(connection).socket().handle(); }
  void erase(void* socket) {
    std::erase_if(items_, [socket](const auto& item) { return item.socket == socket; });
  }

  Clock& clock_;
  int event_;
  std::vector<zmq_pollitem_t> items_;
};

[[nodiscard]] std::string ipc_path_error(const std::string& address) {
  const std::size_t length = address.size() - kIpc.size();
  if (!address.starts_with(kIpc) || length <= kIpcPathMax) return {};
  return fmt::format("its path is too long ({} bytes; a socket's path has at most {})", length, kIpcPathMax);
}

/// libzmq would silently unlink another process's socket file and take its place: look first whether somebody answers there. Returns what is wrong; removes a
/// dead process's file.
[[nodiscard]] std::string claim_ipc_path(const std::string& address) {
  const std::string path = address.substr(kIpc.size());
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) return "something that is no socket has this name; remove it or choose another";
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) return zmq_strerror(errno);
  sockaddr_un target{};
  target.sun_family = AF_UNIX;
  path.copy(target.sun_path, kIpcPathMax);
  const int error = ::connect(probe, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0 ? 0 : errno;
  ::close(probe);
  if (error == ECONNREFUSED) ::unlink(path.c_str());  // nobody listens any more
  if (error == ECONNREFUSED || error == ENOENT) return {};
  return error == EACCES ? "no permission" : "already in use";
}

std::string why_not(int error) {
  switch (error) {
    case EADDRINUSE:
      return "already in use";
    case EACCES:
      return "no permission";
    case ENODEV:
    case EADDRNOTAVAIL:
      return "this host has no such address";
    case ENOENT:
      return "its folder does not exist";
    case EINVAL:
    case EPROTONOSUPPORT:
      return "it has not the form tcp://HOST:PORT or ipc:///PATH";
    default:
      return zmq_strerror(error);
  }
}

bool known_scheme(const std::string& address) { return address.starts_with("tcp://") || address.starts_with("ipc://"); }

}  // namespace

struct ZmqTransport::Impl {
  Impl(Clock& c, ZmqOptions o) : clock(c), options(o), shared{c, detail::SharedPool::make(o.shared_bytes_max), {}} {}
  /// Peers of other addresses may be on other hosts.
  detail::SharedMemory* shared_for(const std::string& address) { return address.starts_with(kIpc) && options.shared_bytes_max != 0 ? &shared : nullptr; }
  Clock& clock;
  ZmqOptions options;
  detail::SharedMemory shared;
  zmq::context_t context{1};
  std::atomic<std::uint64_t> monitors{0};
};

ZmqTransport::ZmqTransport(Clock& clock, ZmqOptions options) : impl_(std::make_unique<Impl>(clock, options)) {
  // Received frames of megabytes would each be a fresh mapping, and its page faults, without this: 10 M floats 2.3 → 5.0 GB/s in the prototype.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  impl_->context.set(zmq::ctxopt::max_sockets, 16'000);
}
ZmqTransport::~ZmqTransport() = default;

Result<std::unique_ptr<Listener>> ZmqTransport::listen(const std::string& address) {
  const auto refuse = [&](const std::string& why) { return fail(Errc::kCannotConnect, fmt::format("cannot listen on '{}': {}", address, why)); };
  if (!known_scheme(address)) return refuse(why_not(EINVAL));
  if (address.starts_with(kIpc)) {
    if (const auto why = ipc_path_error(address); !why.empty()) return refuse(why);
    if (const auto why = claim_ipc_path(address); !why.empty()) return refuse(why);
  }
  try {
    zmq::socket_t socket(impl_->context, zmq::socket_type::router);
    apply_options(socket, impl_->options);
    socket.set(zmq::sockopt::router_mandatory, 1);
    socket.set(zmq::sockopt::backlog, 1024);  // a cluster's workers all come at once
    socket.bind(address);
    std::string bound = socket.get(zmq::sockopt::last_endpoint);
    const std::string path = bound.starts_with(kIpc) ? bound.substr(kIpc.size()) : std::string();
    return std::make_unique<detail::ZmqListener>(std::move(socket), std::move(bound), path, impl_->shared_for(address));
  } catch (const zmq::error_t& error) { return refuse(why_not(error.num())); }
}

Result<std::unique_ptr<Connection>> ZmqTransport::connect(const std::string& address) {
  const auto refuse = [&](const std::string& why) { return fail(Errc::kBadConfig, fmt::format("cannot connect to '{}': {}", address, why)); };
  if (!known_scheme(address)) return refuse(why_not(EINVAL));
  if (const auto why = ipc_path_error(address); !why.empty()) return refuse(why);
  try {
    zmq::socket_t socket(impl_->context, zmq::socket_type::dealer);
    apply_options(socket, impl_->options);
    socket.set(zmq::sockopt::reconnect_ivl, 20);
    socket.set(zmq::sockopt::reconnect_ivl_max, 200);
    const std::string events = fmt::format("inproc://monitor-{}", impl_->monitors.fetch_add(1));
    if (zmq_socket_monitor(socket.handle(), events.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) != 0)
      return refuse(zmq_strerror(zmq_errno()));
    zmq::socket_t monitor(impl_->context, zmq::socket_type::pair);
    monitor.set(zmq::sockopt::linger, 0);
    monitor.set(zmq::sockopt::rcvhwm, 0);  // events nobody reads must not stop libzmq's I/O thread: it would wait for room
    monitor.connect(events);
    socket.connect(address);
    return std::make_unique<detail::ZmqConnection>(std::move(socket), std::move(monitor), address, impl_->shared_for(address));
  } catch (const zmq::error_t& error) { return refuse(why_not(error.num())); }
}

WritableFrame ZmqTransport::allocate(std::size_t bytes) {
  if (bytes >= detail::kSharedBytesMin && impl_->shared.pool) {
    if (auto frame = impl_->shared.pool->allocate(bytes, impl_->clock.now())) return std::move(*frame);
  }
  return Transport::allocate(bytes);
}

std::unique_ptr<FrameMemory> ZmqTransport::adopt(MemoryFile& file) {
  if (!impl_->shared.pool) return nullptr;  // nothing is lent
  return impl_->shared.adopted.adopt(file, impl_->clock);
}

std::unique_ptr<Poller> ZmqTransport::poller() { return std::make_unique<ZmqPoller>(impl_->clock); }

}  // namespace sluice::net
