#pragma once
/// The logs of roles (logs/ROLE.log of an output folder): read, filtered by level, merged by time.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"

namespace sluice::cli {

/// One message of a role, with the lines that belong to it.
struct LogRecord {
  std::string role;
  std::string time;  ///< "2026-11-24 10:07:13.123", local; empty: the file begins without one
  log::Level level = log::Level::kInfo;
  std::string message;  ///< without time, role and level
  std::string text;     ///< as it is in the file, each line ended by a newline
};

/// "debug", "info", "warn" (or "warning"), "error". Errors: kBadConfig with the known names.
[[nodiscard]] Result<log::Level> level_from(const std::string& name);
[[nodiscard]] std::string_view name_of(log::Level level);

/// What is new in one role's file, record by record. One thread.
class LogFile {
 public:
  /// Of a file larger than this only its end is read.
  static constexpr std::uint64_t kBytesMax = 64u << 20;
  LogFile(std::string role, std::string path) : role_(std::move(role)), path_(std::move(path)) {}
  /// The records that were added since the last call; a line without its newline waits. A file that became shorter is read anew. A line without a time of its
  /// own belongs to the record before it; the first lines of a call that have none make a record without a time, of the level of the last one.
  [[nodiscard]] std::vector<LogRecord> next();
  [[nodiscard]] const std::string& role() const { return role_; }

 private:
  std::string role_;
  std::string path_;
  std::uint64_t offset_ = 0;
  log::Level last_level_ = log::Level::kInfo;
};

/// The files of the roles named (a role's name, or what a "-" follows: server for server-1, server-2; none: all), by role. Errors: kNotFound (no logs there; a
/// role that is not there, with those that are).
[[nodiscard]] Result<std::vector<LogFile>> log_files(const std::string& folder, const std::vector<std::string>& roles);

/// What is new in all of them, by time; records of one role stay in their order. Only those of `least` and above.
[[nodiscard]] std::vector<LogRecord> next_records(std::vector<LogFile>& files, log::Level least);

/// {"version":1,"time","role","level","message"} in one line.
[[nodiscard]] std::string to_json(const LogRecord& record);

}  // namespace sluice::cli
