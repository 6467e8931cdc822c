#pragma once
/// Logging behind one adapter (spdlog). Messages go to stderr (stdout is data) or a role's log file; never secrets.

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace sluice::log {

enum class Level { kDebug, kInfo, kWarn, kError };

struct Options {
  std::string role = "sluice";  ///< shown in every line
  std::string file;             ///< empty: stderr
  Level level = Level::kInfo;
  bool json = false;  ///< one JSON object a line
};

/// Call once at start, before threads; without it lines go to stderr at kInfo.
void configure(const Options& options);
void write(Level level, std::string_view message);
[[nodiscard]] bool enabled(Level level);

template <class... A>
void debug(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kDebug)) write(Level::kDebug, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void info(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void warn(fmt::format_string<A...> f, A&&... a) {
  if (enabled(Level::kWarn)) write(Level::kWarn, fmt::format(f, std::forward<A>(a)...));
}
template <class... A>
void error(fmt::format_string<A...> f, A&&... a) {
  write(Level::kError, fmt::format(f, std::forward<A>(a)...));
}

}  // namespace sluice::log
