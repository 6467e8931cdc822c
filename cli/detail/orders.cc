#include "cli/detail/orders.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "cli/detail/print.h"
#include "net/zmq_transport.h"

namespace sluice::cli::detail {
namespace {
template <class Number>
bool whole_text(const std::string& text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

Json value_of(const std::string& text) {
  std::int64_t whole = 0;
  double number = 0;
  if (whole_text(text, whole)) return whole;
  if (whole_text(text, number) && std::isfinite(number)) return number;
  return text;
}

/// Long enough for a thousand jobs whose records are written down one by one.
constexpr Duration kOrderDeadline = from_ms(10'000);

Result<Json> give(const ManagerFlags& flags, const std::string& verb, const Json& arguments) {
  if (auto allowed = flags.check(); !allowed) return tl::unexpected(allowed.error());
  SystemClock clock;
  net::ZmqTransport transport(clock);
  return ManagerClient(transport, clock, flags.address).call(verb, arguments, kOrderDeadline);
}
}  // namespace

int order(const ManagerFlags& manager, const std::string& verb, const Json& arguments, bool json) {
  const auto answer = give(manager, verb, arguments);
  if (!answer) return report(answer.error(), json);
  std::string lines;
  for (const auto& job : list(*answer, "jobs")) lines += fmt::format("{}: {}\n", text(job, "job", "?"), text(job, "sentence", text(job, "state", "?")));
  const auto printed = print(json ? answer->dump() + "\n" : lines);
  return printed ? 0 : report(printed.error(), json);
}

Result<Json> values_from(const std::vector<std::string>& settings) {
  Json out = Json::object();
  std::string mistakes;
  for (const auto& setting : settings) {
    const std::size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals);
    if (equals == std::string::npos || key.empty())
      mistakes += fmt::format("{}'{}' must be KEY=VALUE, for example weight=2", mistakes.empty() ? "" : "\n", setting);
    else if (!out.emplace(key, value_of(setting.substr(equals + 1))).second)
      mistakes += fmt::format("{}'{}' is given twice", mistakes.empty() ? "" : "\n", key);
  }
  if (!mistakes.empty()) return fail(Errc::kBadConfig, std::move(mistakes));
  return out;
}

}  // namespace sluice::cli::detail
