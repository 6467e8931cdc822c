#pragma once
/// stdout is data, stderr is messages.

#include <string>

#include "base/result.h"

namespace sluice::cli::detail {

/// Writes data to stdout. A reader that left early (a closed pipe) is no error; a full disk is.
Result<void> print(const std::string& text);
/// A line on stderr.
void note(const std::string& line);
/// The same without a newline of its own, for drawing on a terminal.
void draw(const std::string& text);
/// "error: …" on stderr, each line of the error on its own; with `json` also {"version":1,"error":{"code","what"}} on stdout. Returns the exit status.
[[nodiscard]] int report(const Error& error, bool json);

[[nodiscard]] bool stderr_is_terminal();
[[nodiscard]] bool stdout_is_terminal();
/// Colours are wanted: a terminal, and NO_COLOR is not set.
[[nodiscard]] bool colours();
/// Columns and rows of the terminal behind stderr; 100 × 40 where there is none.
struct TerminalSize {
  std::size_t columns = 100;
  std::size_t rows = 40;
};
[[nodiscard]] TerminalSize terminal_size();

}  // namespace sluice::cli::detail
