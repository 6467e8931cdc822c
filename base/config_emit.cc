/// JSON → YAML text, for files that people read.
#include <yaml-cpp/emitter.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/config.h"

namespace sluice::config {
namespace {

/// What YAML reads as a string without quotes, whatever its version.
bool plain(const std::string& text) {
  static const char* const kWords[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  std::string word;
  for (const char c : text) word += lower(c);
  if (std::find(std::begin(kWords), std::end(kWords), word) != std::end(kWords)) return false;
  const auto letter = [&](char c) { return lower(c) >= 'a' && lower(c) <= 'z'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '/' || c == '-'; };
  return !text.empty() && (letter(text[0]) || text[0] == '/') && std::all_of(text.begin(), text.end(), inner);
}

void emit(YAML::Emitter& out, const nlohmann::json& value) {
  if (value.is_object()) {
    out << (value.empty() ? YAML::Flow : YAML::Block) << YAML::BeginMap;
    for (const auto& [key, entry] : value.items()) {
      out << YAML::Key;
      emit(out, key);
      out << YAML::Value;
      emit(out, entry);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    out << YAML::Flow << YAML::BeginSeq;
    for (const auto& entry : value) emit(out, entry);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    const auto text = value.get<std::string>();
    if (!plain(text)) out << YAML::DoubleQuoted;
    out << text;
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << value.dump();
  }
}

}  // namespace

std::string to_yaml(const std::string& json) {
  YAML::Emitter out;
  emit(out, nlohmann::json::parse(json));
  return std::string(out.c_str()) + "\n";
}

}  // namespace sluice::config
