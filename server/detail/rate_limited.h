#pragma once
/// At most one log line a second of a kind, with the number of those that were left out. One thread.

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace sluice::server {

class RateLimited {
 public:
  /// Logs at kWarn, or only counts.
  void warn(Instant now, const std::string& what);

 private:
  Instant quiet_until_{};
  std::uint64_t left_out_ = 0;
};

/// A peer's routing id for people: printable characters as they are, others in hexadecimal; at most 64 characters.
[[nodiscard]] std::string printable(const std::string& routing_id);

}  // namespace sluice::server
