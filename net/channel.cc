#include "net/channel.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "net/detail/complaints.h"

namespace sluice::net {
namespace {

constexpr int kBackoffMax = 8;
constexpr std::size_t kUnaskedMax = 4096;

struct Asked {
  Message message;
  Instant deadline;
  Instant again;
  int backoff = 1;
};

}  // namespace

struct Channel::Impl {
  std::unique_ptr<Connection> connection;
  Clock& clock;
  ChannelOptions options;
  std::uint64_t next_request = 1;
  std::unordered_map<std::uint64_t, Asked> asked;
  std::deque<Completion> completed;
  std::deque<Answer> unasked;
  Instant next_due = Instant::never();  ///< no timer is due before; may be early, so that answers need not look for the next one
  detail::Complaints complaints;

  /// True if the peer's message was of use.
  void take(Message message) {
    if (const auto wrong = detail::wrong_frames(message)) return complaints.add(connection->address(), *wrong, clock.now());
    auto header = proto::decode(message.frames[0].bytes());
    if (!header) return refuse(message, header.error().what);
    message.frames.erase(message.frames.begin());
    const std::uint64_t request = header->envelope.request;
    Answer answer{std::move(*header), std::move(message.frames)};
    if (request == 0) {
      if (unasked.size() >= kUnaskedMax) return complaints.add(connection->address(), "too many unasked messages", clock.now());
      unasked.push_back(std::move(answer));
    } else if (asked.erase(request) != 0) {  // else a repeat, or cancelled
      completed.push_back({request, std::move(answer)});
    }
  }

  /// An answer of another protocol version will never become readable: its request ends now.
  void refuse(const Message& message, const std::string& what) {
    complaints.add(connection->address(), what, clock.now());
    const auto envelope = proto::decode_envelope(message.frames[0].bytes());
    if (!envelope || envelope->protocol == proto::kProtocolVersion || asked.erase(envelope->request) == 0) return;
    completed.push_back({envelope->request, fail(Errc::kCannotConnect, what)});
  }

  bool timers() {
    const Instant now = clock.now();
    if (now < next_due) return false;
    bool happened = false;
    next_due = Instant::never();
    const bool connected = connection->connected();
    for (auto it = asked.begin(); it != asked.end();) {
      Asked& one = it->second;
      if (one.deadline <= now) {
        completed.push_back({it->first, fail(Errc::kTimedOut, "no answer before the deadline")});
        it = asked.erase(it);
        happened = true;
        continue;
      }
      if (one.again <= now) {
        if (connected && connection->send(one.message)) {  // while the peer is away the first copy waits in the queue
          one.backoff = std::min(one.backoff * 2, kBackoffMax);
          happened = true;
        }
        one.again = now + options.retry * one.backoff;
      }
      next_due = std::min({next_due, one.deadline, one.again});
      ++it;
    }
    return happened;
  }
};

Channel::Channel(std::unique_ptr<Connection> connection, Clock& clock, ChannelOptions options)
    : impl_(new Impl{std::move(connection), clock, options, 1, {}, {}, {}, Instant::never(), {}}) {}
Channel::~Channel() = default;

Result<std::uint64_t> Channel::request(proto::Header header, std::vector<Frame> payload, Instant deadline) {
  if (impl_->asked.size() >= impl_->options.outstanding_max) return fail(Errc::kFull, "too many unanswered requests");
  const std::uint64_t number = impl_->next_request++;
  header.envelope.request = number;
  Asked one{detail::message_of(header, std::move(payload)), deadline, impl_->clock.now() + impl_->options.retry, 1};
  if (auto sent = impl_->connection->send(one.message); !sent) return fail(std::move(sent.error()));
  impl_->next_due = std::min({impl_->next_due, one.deadline, one.again});
  impl_->asked.emplace(number, std::move(one));
  return number;
}

Result<void> Channel::post(proto::Header header, std::vector<Frame> payload) {
  header.envelope.request = 0;
  return impl_->connection->send(detail::message_of(header, std::move(payload)));
}

void Channel::cancel(std::uint64_t request) {
  impl_->asked.erase(request);
  std::erase_if(impl_->completed, [&](const Completion& completion) { return completion.request == request; });
}

bool Channel::step() {
  bool happened = false;
  while (auto message = impl_->connection->receive()) {
    impl_->take(std::move(*message));
    happened = true;
  }
  return impl_->timers() || happened;
}

std::optional<Completion> Channel::next() {
  if (impl_->completed.empty()) return std::nullopt;
  Completion out = std::move(impl_->completed.front());
  impl_->completed.pop_front();
  return out;
}

std::optional<Answer> Channel::next_unasked() {
  if (impl_->unasked.empty()) return std::nullopt;
  Answer out = std::move(impl_->unasked.front());
  impl_->unasked.pop_front();
  return out;
}

Instant Channel::next_timer() const { return impl_->asked.empty() ? Instant::never() : impl_->next_due; }
std::size_t Channel::outstanding() const { return impl_->asked.size(); }
std::uint64_t Channel::malformed() const { return impl_->complaints.count(); }
Connection& Channel::connection() { return *impl_->connection; }

}  // namespace sluice::net
