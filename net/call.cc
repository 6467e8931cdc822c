#include <fmt/format.h>

#include <array>

#include "net/channel.h"

namespace sluice::net {
namespace {

/// The kind of error that a refusal's code names; a code of no known kind is a plain refusal.
Errc errc_of(const std::string& code) {
  constexpr std::array kAll = {Errc::kJobFailed,   Errc::kBadConfig, Errc::kBadData,    Errc::kCannotConnect, Errc::kDenied,
                               Errc::kUnplaceable, Errc::kTimedOut,  Errc::kPartlyDone, Errc::kInternal,      Errc::kInterrupted,
                               Errc::kRejected,    Errc::kNotFound,  Errc::kFull,       Errc::kMalformed,     Errc::kIo};
  if (code == "version") return Errc::kCannotConnect;
  for (const Errc errc : kAll) {
    if (name_of(errc) == code) return errc;
  }
  return Errc::kRejected;
}

Result<std::string> result_of(Completion completion, const std::string& address) {
  if (!completion.answer) return fail(completion.answer.error());
  auto& body = completion.answer->header.body;
  if (auto* reply = std::get_if<proto::CallReply>(&body)) return std::move(reply->json);
  if (auto* refused = std::get_if<proto::Refused>(&body)) return fail(errc_of(refused->code), std::move(refused->text));
  return fail(Errc::kMalformed, address + " answered a call with something else: is it a manager's address?");
}

}  // namespace

Result<std::string> call(Transport& transport, Clock& clock, const std::string& address, const std::string& verb, const std::string& json, Duration deadline) {
  auto connection = transport.connect(address);
  if (!connection) return fail(connection.error());
  // Never sent twice: a verb may not be one that can be repeated, and a connection loses messages only together with its peer.
  Channel channel(std::move(*connection), clock, ChannelOptions{.retry = deadline * 2, .outstanding_max = 1});
  proto::Header header;
  header.body = proto::Call{verb, json};
  const Instant end = clock.now() + deadline;
  const auto request = channel.request(std::move(header), {}, end);
  if (!request) return fail(request.error());
  const auto poller = transport.poller();
  poller->add(channel.connection());
  std::optional<Completion> completion;
  bool connected = false;
  while (!completion) {
    channel.step();
    connected = connected || channel.connection().connected();
    completion = channel.next();
    if (!completion) poller->wait(channel.next_timer());
  }
  poller->remove(channel.connection());
  if (!completion->answer && completion->answer.error().code == Errc::kTimedOut) {
    const double seconds = deadline.seconds();
    if (!connected) return fail(Errc::kCannotConnect, fmt::format("no manager at {}: nobody answered within {:.1f} s", address, seconds));
    return fail(Errc::kCannotConnect, fmt::format("no manager at {}: somebody is there, but did not answer '{}' within {:.1f} s", address, verb, seconds));
  }
  return result_of(std::move(*completion), address);
}

}  // namespace sluice::net
