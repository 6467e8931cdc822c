#pragma once
/// decisions.jsonl: the truth about every change of a worker slot, one JSON object a line, appended and handed to the operating system before the grants go
/// out; and its index in memory. Kinds of lines (all with "version", "kind", "decision"): "decision" (a round that changed something: view, changes, entries,
/// refusals), "timing", "outcome" (predicted against actual, a round later), "moved" (a measured move), "asked" (a person's order). Only "round" lines are
/// reproducible byte by byte. One thread.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"

namespace sluice::manager {

class DecisionLog {
 public:
  static constexpr std::size_t kEntriesPerJob = 8;
  DecisionLog() = default;
  ~DecisionLog();
  DecisionLog(const DecisionLog&) = delete;
  DecisionLog& operator=(const DecisionLog&) = delete;

  /// Opens `path` for appending and indexes what is in it already (a line that is not whole, left by a full disk or a crash, is skipped). Errors: kIo.
  [[nodiscard]] Result<void> open(const std::string& path);
  /// Writes one line in one system call. Errors: kIo naming the file and the reason (disk full); the file then ends with the last whole line.
  [[nodiscard]] Result<void> write(const nlohmann::json& line);
  /// The newest entries of a job, the oldest first: each the job's entry of a "round" line with "decision", "round", "time_ms", "policy" added; or a "moved"
  /// or "asked" line.
  [[nodiscard]] const std::deque<nlohmann::json>& entries(const std::string& job) const;
  /// Of the newest "outcome" line that names the job: its entry with "decision" added; null: none.
  [[nodiscard]] const nlohmann::json& outcome(const std::string& job) const;
  /// The highest decision and round number in the file; 0 if none.
  [[nodiscard]] std::uint64_t last_decision() const { return last_decision_; }

  /// Nothing of the job is at hand any more; the file has it.
  void forget(const std::string& job);
  void keep_only(const std::function<bool(const std::string& job)>& known);

 private:
  void index(const nlohmann::json& line);
  void remember(const std::string& job, nlohmann::json entry);

  int fd_ = -1;
  std::string path_;
  std::int64_t size_ = 0;  ///< of the whole lines
  std::uint64_t last_decision_ = 0;
  std::map<std::string, std::deque<nlohmann::json>> by_job_;
  std::map<std::string, nlohmann::json> outcomes_;
};

}  // namespace sluice::manager
