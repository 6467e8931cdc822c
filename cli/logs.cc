#include "cli/logs.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace sluice::cli {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kTimeBytes = 23;  // "2026-11-24 10:07:13.123"
constexpr std::string_view kEnding = ".log";

struct LevelName {
  std::string_view name;
  log::Level level;
};
// As spdlog writes them, and as people shorten them.
constexpr std::array<LevelName, 5> kLevels = {
    {{"debug", log::Level::kDebug}, {"info", log::Level::kInfo}, {"warn", log::Level::kWarn}, {"warning", log::Level::kWarn}, {"error", log::Level::kError}}};

std::optional<log::Level> level_named(std::string_view name) {
  for (const auto& [known, level] : kLevels)
    if (name == known) return level;
  return std::nullopt;
}

bool is_time(std::string_view text) {
  constexpr std::string_view form = "dddd-dd-dd dd:dd:dd.ddd";
  if (text.size() < kTimeBytes) return false;
  for (std::size_t i = 0; i < kTimeBytes; ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (form[i] == 'd' ? !digit : text[i] != form[i]) return false;
  }
  return true;
}

/// "TIME ROLE LEVEL: MESSAGE".
std::optional<LogRecord> record_of_text(std::string_view line) {
  if (!is_time(line)) return std::nullopt;
  LogRecord out;
  out.time = line.substr(0, kTimeBytes);
  line.remove_prefix(std::min(line.size(), kTimeBytes + 1));
  const std::size_t role_end = line.find(' ');
  const std::size_t level_end = role_end == std::string_view::npos ? role_end : line.find(": ", role_end);
  if (level_end == std::string_view::npos) return std::nullopt;
  const auto level = level_named(line.substr(role_end + 1, level_end - role_end - 1));
  if (!level) return std::nullopt;
  out.level = *level;
  out.message = line.substr(level_end + 2);
  return out;
}

/// {"time":"2026-11-24T10:07:13.123+0000","level","role","message"}.
std::optional<LogRecord> record_of_json(std::string_view line) {
  if (!line.starts_with("{\"time\"")) return std::nullopt;
  const auto parsed = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto text = [&](const char* key) {
    const auto it = parsed.find(key);
    return it != parsed.end() && it->is_string() ? it->get<std::string>() : std::string{};
  };
  if (!parsed.is_object()) return std::nullopt;
  LogRecord out;
  out.time = text("time").substr(0, kTimeBytes);
  if (out.time.size() > 10 && out.time[10] == 'T') out.time[10] = ' ';
  const auto level = level_named(text("level"));
  if (!is_time(out.time) || !level) return std::nullopt;
  out.level = *level;
  out.message = text("message");
  return out;
}

}  // namespace

Result<log::Level> level_from(const std::string& name) {
  if (const auto level = level_named(name)) return *level;
  return fail(Errc::kBadConfig, text::unknown_name("level", name, {"debug", "info", "warn", "error"}));
}

std::string_view name_of(log::Level level) {
  return std::find_if(kLevels.begin(), kLevels.end(), [&](const LevelName& known) { return known.level == level; })->name;
}

std::vector<LogRecord> LogFile::next() {
  std::vector<LogRecord> out;
  std::ifstream in(path_, std::ios::binary | std::ios::ate);
  if (!in) return out;
  const auto size = static_cast<std::uint64_t>(std::max<std::streamoff>(0, in.tellg()));
  if (size < offset_) offset_ = 0;
  const bool skip = size - offset_ > kBytesMax;
  if (skip) offset_ = size - kBytesMax;
  in.seekg(static_cast<std::streamoff>(offset_));
  std::string line;
  if (skip && std::getline(in, line)) offset_ += line.size() + 1;  // the rest of a line
  while (std::getline(in, line) && !in.eof()) {
    offset_ += line.size() + 1;
    auto record = record_of_text(line);
    if (!record) record = record_of_json(line);
    if (!record && !out.empty()) {
      out.back().text += line + "\n";
      out.back().message += "\n" + line;
      continue;
    }
    if (!record) record = LogRecord{.role = {}, .time = {}, .level = last_level_, .message = line, .text = {}};
    record->role = role_;
    record->text = line + "\n";
    last_level_ = record->level;
    out.push_back(std::move(*record));
  }
  return out;
}

Result<std::vector<LogFile>> log_files(const std::string& folder, const std::vector<std::string>& roles) {
  std::vector<std::string> known;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(kEnding) && name.size() > kEnding.size()) known.push_back(name.substr(0, name.size() - kEnding.size()));
  }
  if (known.empty())
    return fail(Errc::kNotFound, fmt::format("{}: there are no logs of roles here; is its parent the output folder of a run, or of sluice up?", folder));
  std::sort(known.begin(), known.end());
  const auto wanted = [&](const std::string& role, const std::string& name) { return name == role || name.starts_with(role + "-"); };
  for (const auto& role : roles)
    if (std::none_of(known.begin(), known.end(), [&](const std::string& name) { return wanted(role, name); }))
      return fail(Errc::kNotFound, text::unknown_name("role", role, known));
  std::vector<LogFile> out;
  for (const auto& name : known)
    if (roles.empty() || std::any_of(roles.begin(), roles.end(), [&](const std::string& role) { return wanted(role, name); }))
      out.emplace_back(name, folder + "/" + name + std::string(kEnding));
  return out;
}

std::vector<LogRecord> next_records(std::vector<LogFile>& files, log::Level least) {
  std::vector<std::vector<LogRecord>> of;
  for (auto& file : files) of.push_back(file.next());
  std::vector<std::size_t> at(of.size(), 0);
  std::vector<LogRecord> out;
  for (;;) {
    std::size_t first = of.size();
    for (std::size_t i = 0; i < of.size(); ++i)
      if (at[i] < of[i].size() && (first == of.size() || of[i][at[i]].time < of[first][at[first]].time)) first = i;
    if (first == of.size()) return out;
    LogRecord& record = of[first][at[first]++];
    if (record.level >= least) out.push_back(std::move(record));
  }
}

std::string to_json(const LogRecord& record) {
  const nlohmann::json document = {{"version", 1}, {"time", record.time}, {"role", record.role}, {"level", name_of(record.level)}, {"message", record.message}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace sluice::cli
