#include "cli/detail/client.h"

#include "net/channel.h"

namespace sluice::cli::detail {

Result<Json> ManagerClient::call(const std::string& verb, const Json& arguments, Duration deadline) {
  const auto answer = net::call(transport_, clock_, address_, verb, arguments.dump(), deadline);
  if (!answer) return tl::unexpected(answer.error());
  Json parsed = Json::parse(*answer, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return fail(Errc::kMalformed, "the manager's answer to '" + verb + "' is not a JSON object");
  return parsed;
}

double number(const Json& object, const char* key, double otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : otherwise;
}

std::string text(const Json& object, const char* key, std::string otherwise) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : otherwise;
}

const Json& list(const Json& object, const char* key) {
  static const Json empty = Json::array();
  const auto it = object.find(key);
  return it != object.end() && it->is_array() ? *it : empty;
}

bool is_over(const std::string& state) { return state == "done" || state == "failed" || state == "cancelled"; }

}  // namespace sluice::cli::detail
