#pragma once
/// What a user sees while jobs run: a table that redraws on a terminal, else a line every two seconds and the decisions as they come. On stderr.

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/detail/client.h"

namespace sluice::cli::detail {

/// New lines of a growing file of JSON lines (decisions.jsonl), as they come. Half lines wait for their end.
class JsonTail {
 public:
  explicit JsonTail(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] std::vector<Json> next();

 private:
  std::string path_;
  std::size_t offset_ = 0;
};

/// The changes of one line of decisions.jsonl as sentences: "mlp-3 1 → 2 slots: …". Empty for lines of another kind (timings, outcomes).
[[nodiscard]] std::vector<std::string> sentences(const Json& decision);

/// One line about all jobs: "12.0 s  8 jobs: 2 training, 5 waiting, 1 done; mlp-1 (1 slot) loss 0.4312 …".
[[nodiscard]] std::string progress_line(const Json& ps, double seconds);
/// The live table. width: columns of the terminal; rows_max: of jobs, then "… and 12 more".
[[nodiscard]] std::string live_table(const Json& ps, std::size_t width, std::size_t rows_max, bool colours);

/// A job's weight and limits where they are not what every job has: "weight 2, slots 1…4"; else empty.
[[nodiscard]] std::string limits_text(const Json& job);

class Progress {
 public:
  Progress(bool redraw, Clock& clock) : redraw_(redraw), clock_(clock), started_(clock.now()) {}
  /// Shows the state; called a few times a second.
  void show(const Json& ps, const std::vector<Json>& decisions);
  /// Leaves the last table where it is.
  void finish();

 private:
  void redraw(const Json& ps);
  void print_lines(const Json& ps);

  bool redraw_;
  Clock& clock_;
  Instant started_;
  Instant next_line_;
  std::size_t lines_drawn_ = 0;
  std::size_t unprinted_ = 0;       ///< decisions left out of the lines since the last one
  std::size_t printed_ = 0;         ///< decisions printed since the last line
  std::deque<std::string> recent_;  ///< the newest decisions, for the table
};

}  // namespace sluice::cli::detail
