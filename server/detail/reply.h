#pragma once
/// What a lane's handlers answer.

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "net/transport.h"
#include "proto/messages.h"

namespace sluice::server {

struct Reply {
  proto::Body body;
  std::vector<net::Frame> payload;
};

/// A refusal for good: an error's code and words.
[[nodiscard]] inline Reply refuse(const Error& error) {
  return {proto::Refused{proto::RefusalKind::kError, std::string(name_of(error.code)), error.what, ""}, {}};
}
/// Not now: the same request may succeed shortly.
[[nodiscard]] inline Reply behind(std::string why) { return {proto::Refused{proto::RefusalKind::kBehind, "behind", std::move(why), ""}, {}}; }

}  // namespace sluice::server
