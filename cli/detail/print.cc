#include "cli/detail/print.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/text.h"

namespace sluice::cli::detail {
namespace {
/// False with errno set when not all could be written.
bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}
}  // namespace

Result<void> print(const std::string& text) {
  if (write_all(STDOUT_FILENO, text) || errno == EPIPE) return {};
  return fail(Errc::kIo, fmt::format("stdout can't be written: {}", std::strerror(errno)));
}

void note(const std::string& line) { (void)write_all(STDERR_FILENO, text::printable(line) + "\n"); }

void draw(const std::string& text) { (void)write_all(STDERR_FILENO, text); }

int report(const Error& error, bool json) {
  std::string_view rest = error.what;
  for (;;) {
    const std::size_t end = rest.find('\n');
    note("error: " + std::string(rest.substr(0, end)));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (json) {
    const nlohmann::json document = {{"version", 1}, {"error", {{"code", name_of(error.code)}, {"what", error.what}}}};
    (void)print(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }
  return exit_code(error.code);
}

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool colours() {
  const char* no = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no == nullptr || *no == '\0');
}

TerminalSize terminal_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

}  // namespace sluice::cli::detail
