#include "net/inproc_transport.h"

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "base/assert.h"

namespace sluice::net {
namespace {

constexpr std::string_view kScheme = "inproc://";

struct Waiter {
  std::condition_variable changed;
  bool woken = false;
};

struct Parcel {
  std::string from;  ///< routing id; empty at connections
  Message message;
};

/// One socket's mail. Ordered by (arrival, number of the send).
struct Inbox {
  std::map<std::pair<Instant, std::uint64_t>, Parcel> queue;
  std::shared_ptr<Waiter> waiter;
};

struct Link;
struct ListenerState {
  std::string address;
  Inbox inbox;
  std::map<std::string, std::shared_ptr<Link>> links;
};

/// One connection, as both sides see it.
struct Link {
  std::uint64_t number = 0;
  std::string address;
  std::string routing_id;                        ///< another one after each reconnect
  Inbox inbox;                                   ///< of the connecting side
  std::shared_ptr<ListenerState> listener;       ///< null while the name is not bound
  std::vector<Message> waiting;                  ///< sent while it was not
  std::size_t to_listener = 0;                   ///< messages of this link in the listener's inbox
  Instant last_to_listener{}, last_to_client{};  ///< arrival of the newest message: what keeps the order
};

}  // namespace

/// Everything shared, under one mutex: simple beats fast here, the fast transport is the other one.
struct InprocTransport::Hub {
  explicit Hub(Clock& clock_in, InprocOptions options_in) : clock(clock_in), options(options_in), rng(options_in.faults.seed) {}

  Clock& clock;
  std::mutex mutex;
  InprocOptions options;
  SeededRng rng;
  FaultCounts counts;
  std::uint64_t next_number = 1;
  std::uint64_t next_routing_id = 1;
  std::map<std::string, std::shared_ptr<ListenerState>> listeners;
  std::map<std::uint64_t, std::shared_ptr<Link>> links;  ///< by Link::number: their order must not depend on addresses

  bool draw(double probability) { return probability > 0 && rng.uniform() < probability; }

  Instant arrival(Instant& newest) {
    const Faults& faults = options.faults;
    Instant at = clock.now();
    if (faults.delay_max.ns > 0) at = at + Duration{static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(faults.delay_max.ns) + 1))};
    if (draw(faults.reorder)) {
      ++counts.reordered;
      return at;
    }
    newest = std::max(at, newest);
    return newest;
  }

  /// Returns how many copies were put into the box.
  std::size_t deliver(Inbox& to, const std::string& from, Message message, Instant& newest) {
    ++counts.sent;
    if (draw(options.faults.drop)) return ++counts.dropped, 0;
    std::size_t copies = 1;
    if (draw(options.faults.repeat)) ++counts.repeated, ++copies;
    for (std::size_t i = 0; i < copies; ++i)
      to.queue.emplace(std::pair(arrival(newest), next_number++), Parcel{from, i + 1 < copies ? message : std::move(message)});
    notify(to);
    return copies;
  }

  static void notify(Inbox& box) {
    if (!box.waiter) return;
    box.waiter->woken = true;
    box.waiter->changed.notify_all();
  }

  std::optional<Parcel> take(Inbox& from) {
    const auto first = from.queue.begin();
    if (first == from.queue.end() || first->first.first > clock.now()) return std::nullopt;
    Parcel out = std::move(first->second);
    from.queue.erase(first);
    return out;
  }

  void to_listener(Link& link, Message message) {
    link.to_listener += deliver(link.listener->inbox, link.routing_id, std::move(message), link.last_to_listener);
  }

  void attach(const std::shared_ptr<Link>& link, const std::shared_ptr<ListenerState>& listener) {
    link->listener = listener;
    link->routing_id = std::to_string(next_routing_id++) + "@" + link->address;
    listener->links.emplace(link->routing_id, link);
    for (auto& message : std::exchange(link->waiting, {})) to_listener(*link, std::move(message));
    notify(link->inbox);
  }

  void detach(Link& link) {
    link.listener = nullptr;
    link.to_listener = 0;
    notify(link.inbox);
  }
};

namespace {
using Hub = InprocTransport::Hub;

constexpr const char* kUnsendable = "a message without frames, or with more than 1024";
bool sendable(const Message& message) { return !message.frames.empty() && message.frames.size() <= kFramesMax; }

class InprocListener final : public Listener {
 public:
  InprocListener(std::shared_ptr<Hub> hub, std::shared_ptr<ListenerState> state) : hub_(std::move(hub)), state_(std::move(state)) {}
  ~InprocListener() override {
    const std::lock_guard lock(hub_->mutex);
    hub_->listeners.erase(state_->address);
    for (auto& [id, link] : state_->links) hub_->detach(*link);
    state_->links.clear();
    state_->inbox.queue.clear();
  }
  [[nodiscard]] std::string address() const override { return state_->address; }
  [[nodiscard]] std::optional<Incoming> receive() override {
    const std::lock_guard lock(hub_->mutex);
    auto parcel = hub_->take(state_->inbox);
    if (!parcel) return std::nullopt;
    if (const auto it = state_->links.find(parcel->from); it != state_->links.end()) --it->second->to_listener;
    return Incoming{{std::move(parcel->from)}, std::move(parcel->message)};
  }
  [[nodiscard]] Result<void> send(const PeerId& to, Message message) override {
    if (!sendable(message)) return fail(Errc::kRejected, kUnsendable);
    const std::lock_guard lock(hub_->mutex);
    const auto it = state_->links.find(to.routing_id);
    if (it == state_->links.end()) return fail(Errc::kCannotConnect, "peer " + to.routing_id + " is gone");
    Link& link = *it->second;
    if (link.inbox.queue.size() >= hub_->options.queue_messages_max) return fail(Errc::kFull, "the queue to peer " + to.routing_id + " is full");
    hub_->deliver(link.inbox, {}, std::move(message), link.last_to_client);
    return {};
  }
  [[nodiscard]] Inbox& inbox() { return state_->inbox; }

 private:
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<ListenerState> state_;
};

class InprocConnection final : public Connection {
 public:
  InprocConnection(std::shared_ptr<Hub> hub, std::shared_ptr<Link> link) : hub_(std::move(hub)), link_(std::move(link)) {}
  ~InprocConnection() override {
    const std::lock_guard lock(hub_->mutex);
    if (link_->listener) link_->listener->links.erase(link_->routing_id);
    hub_->links.erase(link_->number);
    link_->inbox.queue.clear();
  }
  [[nodiscard]] std::optional<Message> receive() override {
    const std::lock_guard lock(hub_->mutex);
    auto parcel = hub_->take(link_->inbox);
    if (!parcel) return std::nullopt;
    return std::move(parcel->message);
  }
  [[nodiscard]] Result<void> send(Message message) override {
    if (!sendable(message)) return fail(Errc::kRejected, kUnsendable);
    const std::lock_guard lock(hub_->mutex);
    const std::size_t queued = link_->listener ? link_->to_listener : link_->waiting.size();
    if (queued >= hub_->options.queue_messages_max) return fail(Errc::kFull, "the queue to " + link_->address + " is full");
    if (link_->listener) {
      hub_->to_listener(*link_, std::move(message));
    } else {
      link_->waiting.push_back(std::move(message));
    }
    return {};
  }
  [[nodiscard]] bool connected() override {
    const std::lock_guard lock(hub_->mutex);
    return link_->listener != nullptr;
  }
  [[nodiscard]] std::string address() const override { return link_->address; }
  [[nodiscard]] Inbox& inbox() { return link_->inbox; }

 private:
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<Link> link_;
};

class InprocPoller final : public Poller {
 public:
  explicit InprocPoller(std::shared_ptr<Hub> hub) : hub_(std::move(hub)), waiter_(std::make_shared<Waiter>()) {}
  ~InprocPoller() override {
    const std::lock_guard lock(hub_->mutex);
    for (Inbox* box : boxes_) box->waiter = nullptr;
  }
  void add(Listener& listener) override { add(static_cast<InprocListener&>(listener).inbox()); }
  void add(Connection& connection) override { add(static_cast<InprocConnection&>(connection).inbox()); }
  void remove(Listener& listener) override { remove(static_cast<InprocListener&>(listener).inbox()); }
  void remove(Connection& connection) override { remove(static_cast<InprocConnection&>(connection).inbox()); }

  void wait(Instant until) override {
    std::unique_lock lock(hub_->mutex);
    while (!waiter_->woken) {
      const Instant now = hub_->clock.now();
      Instant end = until;
      for (const Inbox* box : boxes_) {
        if (!box->queue.empty()) end = std::min(end, box->queue.begin()->first.first);
      }
      if (end <= now) break;
      if (end == Instant::never()) {
        waiter_->changed.wait(lock);
      } else {
        waiter_->changed.wait_for(lock, std::chrono::nanoseconds((end - now).ns));
      }
    }
    waiter_->woken = false;
  }
  void wake() override {
    const std::lock_guard lock(hub_->mutex);
    waiter_->woken = true;
    waiter_->changed.notify_all();
  }

 private:
  void add(Inbox& box) {
    const std::lock_guard lock(hub_->mutex);
    SLUICE_ASSERT(box.waiter == nullptr);
    box.waiter = waiter_;
    boxes_.insert(&box);
  }
  void remove(Inbox& box) {
    const std::lock_guard lock(hub_->mutex);
    box.waiter = nullptr;
    boxes_.erase(&box);
  }
  std::shared_ptr<Hub> hub_;
  std::shared_ptr<Waiter> waiter_;
  std::set<Inbox*> boxes_;
};

bool well_formed(const std::string& address) { return address.size() > kScheme.size() && address.starts_with(kScheme); }

}  // namespace

InprocTransport::InprocTransport(Clock& clock, InprocOptions options) : hub_(std::make_shared<Hub>(clock, options)) {}
InprocTransport::~InprocTransport() = default;

Result<std::unique_ptr<Listener>> InprocTransport::listen(const std::string& address) {
  if (!well_formed(address)) return fail(Errc::kCannotConnect, "cannot listen on '" + address + "': not of the form inproc://NAME");
  const std::lock_guard lock(hub_->mutex);
  auto state = std::make_shared<ListenerState>();
  state->address = address.ends_with('*') ? address.substr(0, address.size() - 1) + "any-" + std::to_string(hub_->next_routing_id++) : address;
  if (!hub_->listeners.emplace(state->address, state).second) return fail(Errc::kCannotConnect, "cannot listen on " + address + ": already in use");
  for (const auto& [number, link] : hub_->links) {
    if (link->address == state->address) hub_->attach(link, state);
  }
  return std::make_unique<InprocListener>(hub_, std::move(state));
}

Result<std::unique_ptr<Connection>> InprocTransport::connect(const std::string& address) {
  if (!well_formed(address)) return fail(Errc::kBadConfig, "cannot connect to '" + address + "': not of the form inproc://NAME");
  const std::lock_guard lock(hub_->mutex);
  auto link = std::make_shared<Link>();
  link->address = address;
  link->number = hub_->next_number++;
  hub_->links.emplace(link->number, link);
  if (const auto it = hub_->listeners.find(address); it != hub_->listeners.end()) hub_->attach(link, it->second);
  return std::make_unique<InprocConnection>(hub_, std::move(link));
}

std::unique_ptr<Poller> InprocTransport::poller() { return std::make_unique<InprocPoller>(hub_); }

Instant InprocTransport::next_delivery() const {
  const std::lock_guard lock(hub_->mutex);
  const std::pair now(hub_->clock.now(), UINT64_MAX);
  Instant next = Instant::never();
  const auto look = [&](const Inbox& box) {
    if (const auto it = box.queue.upper_bound(now); it != box.queue.end()) next = std::min(next, it->first.first);
  };
  for (const auto& [address, listener] : hub_->listeners) look(listener->inbox);
  for (const auto& [number, link] : hub_->links) look(link->inbox);
  return next;
}

void InprocTransport::set_faults(const Faults& faults) {
  const std::lock_guard lock(hub_->mutex);
  hub_->options.faults = faults;
  hub_->rng = SeededRng(faults.seed);
}

FaultCounts InprocTransport::counts() const {
  const std::lock_guard lock(hub_->mutex);
  return hub_->counts;
}

}  // namespace sluice::net
