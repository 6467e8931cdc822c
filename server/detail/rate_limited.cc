#include "server/detail/rate_limited.h"

#include <fmt/format.h>

#include "base/log.h"

namespace sluice::server {

void RateLimited::warn(Instant now, const std::string& what) {
  if (now < quiet_until_) {
    ++left_out_;
    return;
  }
  if (left_out_ == 0) {
    log::warn("{}", what);
  } else {
    log::warn("{} ({} more like it)", what, left_out_);
  }
  left_out_ = 0;
  quiet_until_ = now + from_ms(1000);
}

std::string printable(const std::string& routing_id) {
  std::string out;
  for (const char c : routing_id.substr(0, 32)) {
    if (c > ' ' && c <= '~') {
      out += c;
    } else {
      out += fmt::format("{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

}  // namespace sluice::server
