#pragma once
/// Words for people: nearest names, valid names.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::text {

/// The known name nearest to `name` by edit distance (transpositions count once), or none if even the nearest is far off (more than a third of its letters +
/// 1).
[[nodiscard]] std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& known);
/// "unknown KIND 'x'; did you mean 'y'? known: a, b, c".
[[nodiscard]] std::string unknown_name(std::string_view kind, std::string_view name, const std::vector<std::string>& known);
/// [a-z0-9._-]{1,64}, and neither "." nor "..": what jobs, datasets and groups may be called (never a path).
[[nodiscard]] bool valid_name(std::string_view name);

/// The text with '?' for each control character but newline and tab, and for each byte that is no UTF-8: names out of users' files must not steer a terminal.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace sluice::text
