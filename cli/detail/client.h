#pragma once
/// The manager as the client verbs see it: JSON documents in and out (docs/calls.md), each call with a deadline.

#include <nlohmann/json.hpp>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "net/transport.h"

namespace sluice::cli::detail {

using Json = nlohmann::json;

class ManagerClient {
 public:
  ManagerClient(net::Transport& transport, Clock& clock, std::string address) : transport_(transport), clock_(clock), address_(std::move(address)) {}
  /// Blocks at most `deadline`. Errors: kCannotConnect (nobody answers, another version), what the manager refused, kMalformed (its answer is not JSON).
  [[nodiscard]] Result<Json> call(const std::string& verb, const Json& arguments = Json::object(), Duration deadline = from_ms(3000));
  [[nodiscard]] const std::string& address() const { return address_; }

 private:
  net::Transport& transport_;
  Clock& clock_;
  std::string address_;
};

/// Fields of untrusted JSON: the value if it is there and of the kind, else `otherwise`.
[[nodiscard]] double number(const Json& object, const char* key, double otherwise = 0);
[[nodiscard]] std::string text(const Json& object, const char* key, std::string otherwise = {});
/// The array under `key`, or an empty one.
[[nodiscard]] const Json& list(const Json& object, const char* key);

/// True for a job that will not change any more: done, failed, cancelled.
[[nodiscard]] bool is_over(const std::string& state);

}  // namespace sluice::cli::detail
