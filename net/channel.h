#pragma once
/// Typed, answered calls over one Connection: numbers requests, sends them again (identical bytes) until answered, and times them out. One thread.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"
#include "proto/codec.h"

namespace sluice::net {

struct ChannelOptions {
  Duration retry = from_ms(500);         ///< an unanswered request is sent again after this long, identical bytes; doubles up to 8 ×
  std::uint32_t outstanding_max = 1024;  ///< further requests are refused with kFull: the credit
};

struct Answer {
  proto::Header header;
  std::vector<Frame> payload;
};
struct Completion {
  std::uint64_t request = 0;
  Result<Answer> answer;  ///< a peer's Refused is an Answer too; errors: kTimedOut
};

class Channel {
 public:
  /// `clock` outlives the channel.
  Channel(std::unique_ptr<Connection> connection, Clock& clock, ChannelOptions options = {});
  ~Channel();
  /// Sends; returns the request's number (header.envelope.request is overwritten). Errors: kFull.
  [[nodiscard]] Result<std::uint64_t> request(proto::Header header, std::vector<Frame> payload, Instant deadline);
  /// Sends without wanting an answer (request 0). Errors: kFull.
  Result<void> post(proto::Header header, std::vector<Frame> payload = {});
  /// Forgets a request: no completion will come.
  void cancel(std::uint64_t request);
  /// Receives all that is there, sends again what is due, times out what is late. True if anything happened.
  bool step();
  /// Finished requests, in order of completion.
  [[nodiscard]] std::optional<Completion> next();
  /// Messages that nobody asked for (request 0): grants, gates, slot tables.
  [[nodiscard]] std::optional<Answer> next_unasked();
  [[nodiscard]] Instant next_timer() const;
  [[nodiscard]] std::size_t outstanding() const;
  [[nodiscard]] std::uint64_t malformed() const;  ///< messages of the peer that were not valid; counted and logged
  [[nodiscard]] Connection& connection();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The serving side: decodes what peers send, counts and logs what is not valid (naming the peer, at most a line a second) and answers wrong protocol versions
/// with Refused. One thread.
struct Request {
  PeerId peer;
  proto::Header header;
  std::vector<Frame> payload;
};
class Endpoint {
 public:
  explicit Endpoint(std::unique_ptr<Listener> listener, Clock& clock);
  ~Endpoint();
  [[nodiscard]] std::optional<Request> receive();
  /// Answers a request: envelope.request is copied from it. Errors: as Listener::send.
  Result<void> reply(const Request& to, proto::Header header, std::vector<Frame> payload = {});
  /// Sends unasked (request 0).
  Result<void> notify(const PeerId& to, proto::Header header, std::vector<Frame> payload = {});
  [[nodiscard]] Listener& listener();
  [[nodiscard]] std::uint64_t malformed() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// One blocking call with its own connection and a thread of the caller's, for client verbs. Sends Call{verb, json}; returns CallReply's JSON text.
/// Errors: kCannotConnect when nobody answers within `deadline` ("no manager at ADDRESS") or the version differs, else what the manager's Refused says.
[[nodiscard]] Result<std::string> call(Transport& transport, Clock& clock, const std::string& address, const std::string& verb, const std::string& json,
                                       Duration deadline);

}  // namespace sluice::net
