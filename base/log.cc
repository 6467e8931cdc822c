#include "base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

namespace sluice::log {
namespace {

struct State {
  std::shared_ptr<spdlog::logger> logger = std::make_shared<spdlog::logger>("sluice", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  bool json = false;
};
State& state() {
  static State s;
  return s;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void configure(const Options& options) {
  auto& s = state();
  spdlog::sink_ptr sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  if (!options.file.empty()) {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file, /*truncate=*/false);
    } catch (const spdlog::spdlog_ex&) {
      // A log that can't be written must not stop the role: stderr stays.
    }
  }
  s.logger = std::make_shared<spdlog::logger>("sluice", std::move(sink));
  s.json = options.json;
  s.logger->set_level(to_spdlog(options.level));
  s.logger->flush_on(spdlog::level::info);
  s.logger->set_error_handler([](const std::string&) {});  // disk full: lines are lost, training goes on
  const std::string role = options.role;
  s.logger->set_pattern(options.json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","role":")" + role + R"(","message":%v})"
                                     : "%Y-%m-%d %H:%M:%S.%e " + role + " %l: %v");
}

bool enabled(Level level) { return state().logger->should_log(to_spdlog(level)); }

void write(Level level, std::string_view message) {
  auto& s = state();
  if (s.json) {
    s.logger->log(to_spdlog(level), nlohmann::json(message).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else {
    s.logger->log(to_spdlog(level), message);
  }
}

}  // namespace sluice::log
