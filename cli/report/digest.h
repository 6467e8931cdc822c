#pragma once
/// What decisions.jsonl tells a report: who had the worker slots when, what was decided and why, and how the predictions came out. One pass over the file;
/// the decisions with their sentences, its largest part, are kept up to a number of bytes, evenly chosen. One thread.

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::cli::report {

inline constexpr std::uint32_t kIdle = 0xffffffff;

/// A worker slot changes hands. Jobs are places in Digest::jobs, kIdle is none.
struct SlotEvent {
  double seconds = 0;  ///< since the first job's submission
  std::uint32_t from = kIdle;
  std::uint32_t to = kIdle;
};
/// How far a job's loss was predicted to fall over the steps until a later round, and how far it fell.
struct Outcome {
  std::uint64_t decision = 0;
  std::uint32_t job = 0;
  double predicted = 0;
  double actual = 0;
};

struct Digest {
  std::vector<std::string> jobs;  ///< names in order of appearance
  std::vector<SlotEvent> slots;   ///< by time
  std::vector<Outcome> outcomes;  ///< by decision
  /// Oldest first: {"id","t" (seconds),"trigger","changes_total","changes":[{"job" (place),"before","after","reason","sentence","loss","remaining","with",
  /// "without","refused":[{"job","reason","index"}]}],"refused":[{"job","reason","sentence"}],"moved":[{"job","slot","total_ms","stall_ms","wait_ms","cold"}],
  /// "outcomes":[{"job","predicted","actual","steps"}]}
  std::vector<nlohmann::json> decisions;
  std::uint64_t decisions_total = 0;
  std::uint64_t moved_total = 0;
  std::map<std::uint32_t, std::uint64_t> moved_by_job;
  std::uint32_t slots_max = 0;
  double end_seconds = 0;  ///< of the last decision
  std::uint64_t restarts = 0;
  std::uint64_t bad_lines = 0;
  std::uint64_t bad_line_first = 0;  ///< counted from 1
};

class DigestReader {
 public:
  /// `bytes_max`: of the decisions that are kept, as JSON; one is kept at least.
  explicit DigestReader(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  /// The file's next line, whatever is in it. A line that is not whole (a kill, a full disk) is counted and left out.
  void add(const std::string& line);
  [[nodiscard]] Digest take();

 private:
  struct Kept {
    std::uint64_t ordinal = 0;
    std::size_t bytes = 0;
    nlohmann::json entry;
  };
  std::uint32_t place(const std::string& job);
  double seconds_of(const nlohmann::json& round);
  void add_round(const nlohmann::json& round);
  void add_moved(const nlohmann::json& moved);
  void add_outcome(const nlohmann::json& outcome);
  void follow_slots(const nlohmann::json& round, double seconds);
  [[nodiscard]] nlohmann::json entry_of(const nlohmann::json& round, double seconds);
  void keep(nlohmann::json entry);
  [[nodiscard]] Kept* kept(const nlohmann::json& line);

  std::size_t bytes_max_;
  Digest out_;
  std::uint64_t line_ = 0;
  std::map<std::string, std::uint32_t> places_;
  std::map<std::pair<std::string, std::int64_t>, std::uint32_t> owners_;  ///< of (worker, slot)
  std::map<std::uint64_t, Kept> kept_;                                    ///< by decision
  std::size_t kept_bytes_ = 0;
  std::uint64_t stride_ = 1;  ///< every how many-th decision is kept
  bool begun_ = false;
  double zero_ms_ = 0;  ///< the first job's submission
  double shift_ms_ = 0;
  double last_ms_ = 0;
};

}  // namespace sluice::cli::report
