#pragma once
/// What the two ends of a conversation share: messages from headers, and the count of what peers sent that is not valid.

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/transport.h"
#include "proto/messages.h"

namespace sluice::net::detail {

/// Counts invalid messages and logs at most one line a second, saying how many went unlogged. One thread.
class Complaints {
 public:
  void add(const std::string& peer, const std::string& what, Instant now);
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
  std::uint64_t logged_ = 0;  ///< count_ at the last line
  Instant quiet_until_{};
};

/// What is wrong with the number of frames, if anything.
[[nodiscard]] std::optional<std::string> wrong_frames(const Message& message);

[[nodiscard]] Message message_of(const proto::Header& header, std::vector<Frame> payload);

/// A routing id for people: printable as it is, else in hex.
[[nodiscard]] std::string printable(const std::string& routing_id);

}  // namespace sluice::net::detail
