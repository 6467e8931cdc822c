#include "manager/decision_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {
std::string text(const nlohmann::json& line) { return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + '\n'; }
}  // namespace

DecisionLog::~DecisionLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> DecisionLog::open(const std::string& path) {
  path_ = path;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line) && !in.eof();) {
    size_ += static_cast<std::int64_t>(line.size()) + 1;
    if (const auto json = nlohmann::json::parse(line, nullptr, false); json.is_object()) index(json);
  }
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0 || ::ftruncate(fd_, size_) != 0) return fail(Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  return {};
}

Result<void> DecisionLog::write(const nlohmann::json& line) {
  const std::string bytes = text(line);
  const ssize_t written = ::pwrite(fd_, bytes.data(), bytes.size(), size_);
  if (written != static_cast<ssize_t>(bytes.size())) {
    const int why = written < 0 ? errno : ENOSPC;
    if (::ftruncate(fd_, size_) != 0) return fail(Errc::kIo, fmt::format("cannot write {}: {}; its last line may be cut", path_, std::strerror(why)));
    return fail(Errc::kIo, fmt::format("cannot write {}: {}", path_, std::strerror(why)));
  }
  size_ += static_cast<std::int64_t>(bytes.size());
  index(line);
  return {};
}

const std::deque<nlohmann::json>& DecisionLog::entries(const std::string& job) const {
  static const std::deque<nlohmann::json> none;
  const auto it = by_job_.find(job);
  return it == by_job_.end() ? none : it->second;
}

const nlohmann::json& DecisionLog::outcome(const std::string& job) const {
  static const nlohmann::json none;
  const auto it = outcomes_.find(job);
  return it == outcomes_.end() ? none : it->second;
}

void DecisionLog::forget(const std::string& job) {
  by_job_.erase(job);
  outcomes_.erase(job);
}

void DecisionLog::keep_only(const std::function<bool(const std::string&)>& known) {
  std::erase_if(by_job_, [&](const auto& entry) { return !known(entry.first); });
  std::erase_if(outcomes_, [&](const auto& entry) { return !known(entry.first); });
}

void DecisionLog::index(const nlohmann::json& line) try {
  last_decision_ = std::max(last_decision_, line.value("decision", std::uint64_t{0}));
  const std::string kind = line.value("kind", "");
  if (kind == "moved") remember(line.value("to", ""), line);
  if (kind == "asked") remember(line.value("job", ""), line);
  if (kind == "outcome") {
    for (nlohmann::json entry : line.at("jobs")) {
      entry["decision"] = line.at("decision");
      const std::string job = entry.value("job", "");
      outcomes_[job] = std::move(entry);
    }
  }
  if (kind != "round") return;
  for (nlohmann::json entry : line.at("changes")) {
    for (const char* key : {"decision", "round", "time_ms", "policy"}) entry[key] = line.at(key);
    entry["kind"] = "round";
    const std::string job = entry.value("job", "");
    remember(job, std::move(entry));
  }
} catch (const nlohmann::json::exception&) {
  // A line of another version, or damaged: the index does without it.
}

void DecisionLog::remember(const std::string& job, nlohmann::json entry) {
  auto& entries = by_job_[job];
  entries.push_back(std::move(entry));
  if (entries.size() > kEntriesPerJob) entries.pop_front();
}

}  // namespace sluice::manager
