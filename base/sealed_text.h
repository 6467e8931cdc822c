#pragma once
/// A text that carries a checksum over itself, in a field of its own: XXH3-64 of the text with that field's digits 0.

#include <string>
#include <string_view>

namespace sluice {

inline constexpr std::string_view kUnsealed = "0000000000000000";

/// Fills the field "NAME":"0000000000000000" (written so, without blanks). False: there is none.
[[nodiscard]] bool seal(std::string& text, std::string_view name);
/// Whether the text is as seal() left it. Any text.
[[nodiscard]] bool sealed(std::string_view text, std::string_view name);

}  // namespace sluice
