#include "net/detail/complaints.h"

#include <algorithm>

#include "base/log.h"
#include "proto/codec.h"

namespace sluice::net::detail {

void Complaints::add(const std::string& peer, const std::string& what, Instant now) {
  ++count_;
  if (now < quiet_until_) return;
  const std::uint64_t unsaid = count_ - logged_ - 1;
  log::warn("{} sent a message that is not valid: {}{}", peer, what, unsaid == 0 ? "" : fmt::format(" (and {} more since the last line)", unsaid));
  logged_ = count_;
  quiet_until_ = now + from_ms(1000);
}

std::optional<std::string> wrong_frames(const Message& message) {
  if (message.frames.empty()) return "no header frame";
  if (message.frames.size() > kFramesMax) return fmt::format("{} frames, at most {}", message.frames.size(), kFramesMax);
  return std::nullopt;
}

Message message_of(const proto::Header& header, std::vector<Frame> payload) {
  Message message;
  message.frames.reserve(payload.size() + 1);
  message.frames.push_back(Frame::from(proto::encode(header)));
  std::move(payload.begin(), payload.end(), std::back_inserter(message.frames));
  return message;
}

std::string printable(const std::string& routing_id) {
  const bool plain = std::all_of(routing_id.begin(), routing_id.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (plain) return routing_id;
  std::string out;
  for (const char c : routing_id) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

}  // namespace sluice::net::detail
