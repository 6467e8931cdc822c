#include "base/text.h"

#include <algorithm>

namespace sluice::text {
namespace {
/// Optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t swap_cost = a[i - 1] == b[j - 1] ? 0 : 1;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + swap_cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}
}  // namespace

std::optional<std::string> nearest(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::size_t kNameMax = 128;  // an absurdly long name has no near neighbour; don't pay for it
  if (name.size() > kNameMax) return std::nullopt;
  // Users type the whole word where we say the short one ("learning_rate" → "lr"): initials count as near.
  std::string initials;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (i == 0 || name[i - 1] == '_' || name[i - 1] == '-') initials += name[i];
  }
  const std::string* best = nullptr;
  std::size_t best_distance = 0;
  for (const auto& candidate : known) {
    const std::size_t distance = initials.size() > 1 && candidate == initials ? 0 : edit_distance(name, candidate);
    if (best == nullptr || distance < best_distance) best = &candidate, best_distance = distance;
  }
  if (best == nullptr || best_distance > best->size() / 3 + 1) return std::nullopt;
  return *best;
}

std::string unknown_name(std::string_view kind, std::string_view name, const std::vector<std::string>& known) {
  std::string out = "unknown " + std::string(kind) + " '" + std::string(name.substr(0, 80)) + "'";
  if (const auto near = nearest(name, known)) out += "; did you mean '" + *near + "'?";
  out += out.back() == '?' ? " known: " : "; known: ";
  constexpr std::size_t kShown = 40;
  for (std::size_t i = 0; i < std::min(known.size(), kShown); ++i) out += (i ? ", " : "") + known[i];
  if (known.size() > kShown) out += " and " + std::to_string(known.size() - kShown) + " more";
  return out;
}

bool valid_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; });
}

namespace {
/// Bytes of the UTF-8 character that the text begins with; 0: none does. (RFC 3629: overlong forms, surrogates and what is above U+10FFFF are none.)
std::size_t character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(0), second = byte(1);
  const std::size_t n = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  for (std::size_t i = 1; i < n; ++i)
    if ((byte(i) & 0xC0U) != 0x80) return 0;
  const bool out_of_range =
      (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) || (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return out_of_range ? 0 : n;
}
}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t n = character(text);
    const auto c = static_cast<unsigned char>(text.front());
    const bool control = n == 1 && ((c < ' ' && c != '\n' && c != '\t') || c == 127);
    const bool control_1 = n == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;  // U+0080 … U+009F, CSI among them
    if (n == 0 || control || control_1)  // nor do bytes that are no UTF-8 go to a terminal, or to a reader that expects it
      out += '?';
    else
      out += text.substr(0, n);
    text.remove_prefix(std::max<std::size_t>(n, 1));
  }
  return out;
}

}  // namespace sluice::text
