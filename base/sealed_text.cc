#include "base/sealed_text.h"

#include <fmt/format.h>
#include <xxhash.h>

namespace sluice {
namespace {

/// Where the field's digits begin; npos: there is no such field.
std::size_t digits_of(std::string_view text, std::string_view name) {
  const std::string key = fmt::format("\"{}\":\"", name);
  const auto at = text.find(key);
  if (at == std::string_view::npos || text.size() - at < key.size() + kUnsealed.size()) return std::string_view::npos;
  return at + key.size();
}

std::string digest(std::string_view text) { return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size())); }

}  // namespace

bool seal(std::string& text, std::string_view name) {
  const auto at = digits_of(text, name);
  if (at == std::string::npos || text.compare(at, kUnsealed.size(), kUnsealed) != 0) return false;
  text.replace(at, kUnsealed.size(), digest(text));
  return true;
}

bool sealed(std::string_view text, std::string_view name) {
  const auto at = digits_of(text, name);
  if (at == std::string_view::npos) return false;
  std::string plain(text);
  plain.replace(at, kUnsealed.size(), kUnsealed);
  return digest(plain) == text.substr(at, kUnsealed.size());
}

}  // namespace sluice
