#include "net/channel.h"
#include "net/detail/complaints.h"

namespace sluice::net {

struct Endpoint::Impl {
  std::unique_ptr<Listener> listener;
  Clock& clock;
  detail::Complaints complaints;

  /// Counts what a peer sent, and answers it where the envelope says to whom.
  void refuse(const PeerId& peer, const Message& message, const std::string& what) {
    complaints.add("peer " + detail::printable(peer.routing_id), what, clock.now());
    if (message.frames.empty()) return;
    const auto envelope = proto::decode_envelope(message.frames[0].bytes());
    if (!envelope || envelope->request == 0) return;
    proto::Header answer;
    answer.envelope.request = envelope->request;
    answer.envelope.job = envelope->job;
    answer.body = proto::Refused{proto::RefusalKind::kError, envelope->protocol == proto::kProtocolVersion ? "malformed" : "version", what, ""};
    (void)listener->send(peer, detail::message_of(answer, {}));  // a peer that does not read its refusals may miss one
  }
};

Endpoint::Endpoint(std::unique_ptr<Listener> listener, Clock& clock) : impl_(new Impl{std::move(listener), clock, {}}) {}
Endpoint::~Endpoint() = default;

std::optional<Request> Endpoint::receive() {
  while (auto incoming = impl_->listener->receive()) {
    Message& message = incoming->message;
    if (const auto wrong = detail::wrong_frames(message)) {
      impl_->refuse(incoming->peer, message, *wrong);
      continue;
    }
    auto header = proto::decode(message.frames[0].bytes());
    if (!header) {
      impl_->refuse(incoming->peer, message, header.error().what);
      continue;
    }
    message.frames.erase(message.frames.begin());
    return Request{std::move(incoming->peer), std::move(*header), std::move(message.frames)};
  }
  return std::nullopt;
}

Result<void> Endpoint::reply(const Request& to, proto::Header header, std::vector<Frame> payload) {
  header.envelope.request = to.header.envelope.request;
  return impl_->listener->send(to.peer, detail::message_of(header, std::move(payload)));
}

Result<void> Endpoint::notify(const PeerId& to, proto::Header header, std::vector<Frame> payload) {
  header.envelope.request = 0;
  return impl_->listener->send(to, detail::message_of(header, std::move(payload)));
}

Listener& Endpoint::listener() { return *impl_->listener; }
std::uint64_t Endpoint::malformed() const { return impl_->complaints.count(); }

}  // namespace sluice::net
