#include "cli/detail/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>

#include "cli/detail/print.h"
#include "cli/detail/table.h"

namespace sluice::cli::detail {
namespace {
constexpr std::size_t kRecent = 4;          // decisions under the table
constexpr std::size_t kPrintedBetween = 6;  // decisions between two progress lines
constexpr double kSlotsMost = 1024;         // a job's maximum unless the run file says otherwise
}  // namespace

std::vector<Json> JsonTail::next() {
  std::vector<Json> out;
  std::ifstream in(path_, std::ios::binary);
  if (!in.seekg(static_cast<std::streamoff>(offset_))) return out;
  for (std::string line; std::getline(in, line) && !in.eof();) {
    offset_ += line.size() + 1;
    Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_object()) out.push_back(std::move(parsed));
  }
  return out;
}

std::vector<std::string> sentences(const Json& decision) {
  std::vector<std::string> out;
  for (const auto& change : list(decision, "changes")) {
    if (!change.is_object()) continue;
    const double before = number(change, "before");
    const double after = number(change, "after");
    if (before == after) continue;
    out.push_back(
        fmt::format("{} {} → {} slot{}: {}", text(change, "job", "?"), before, after, after == 1 ? "" : "s", text(change, "sentence", text(change, "reason"))));
  }
  return out;
}

std::string progress_line(const Json& ps, double seconds) {
  std::map<std::string, int> states;
  std::string working;
  for (const auto& job : list(ps, "jobs")) {
    const std::string state = text(job, "state", "?");
    ++states[state];
    if (number(job, "slots") > 0) {
      working += fmt::format("; {} ({}) loss {}", text(job, "job"), number(job, "slots"), loss_text(number(job, "loss", kNone)));
    }
  }
  std::string out = fmt::format("{:6.1f} s  {} jobs:", seconds, list(ps, "jobs").size());
  bool first = true;
  for (const auto& [state, count] : states) {
    out += fmt::format("{} {} {}", first ? "" : ",", count, state);
    first = false;
  }
  return out + working;
}

std::string limits_text(const Json& job) {
  std::string out;
  if (const double weight = number(job, "weight", 1); weight != 1) out = fmt::format("weight {:g}", weight);
  const double min = number(job, "slots_min"), max = number(job, "slots_max", kSlotsMost);
  if (min > 0 || max < kSlotsMost) out += fmt::format("{}slots {}…{}", out.empty() ? "" : ", ", min, max < kSlotsMost ? fmt::format("{}", max) : "");
  return out;
}

std::string live_table(const Json& ps, std::size_t width, std::size_t rows_max, bool with_colours) {
  const auto& jobs = list(ps, "jobs");
  const bool limited = std::any_of(jobs.begin(), jobs.end(), [](const Json& job) { return !limits_text(job).empty(); });
  std::vector<Column> columns = {{"JOB", Align::kLeft, 24}, {"STATE", Align::kLeft, 12}, {"SLOTS"}, {"STEPS/S"}, {"EX/S"}, {"LOSS"},
                                 {"REMAINING", Align::kLeft}, {"GAIN/S"}, {"STALE"}, {"DONE"}};
  if (limited) columns.push_back({"LIMITS", Align::kLeft});
  columns.push_back({"LAST DECISION", Align::kLeft});
  Table table(std::move(columns));
  std::size_t shown = 0;
  for (const auto& job : jobs) {
    if (shown++ == rows_max) break;
    const double total = number(job, "examples_total");
    std::vector<std::string> cells = {text(job, "job"), text(job, "state"), fmt::format("{}", number(job, "slots")), rate_text(number(job, "steps_per_s")),
               rate_text(number(job, "examples_per_s")), loss_text(number(job, "loss", kNone)), bar(number(job, "normalized_loss", 1), 8),
               fmt::format("{:.3f}", number(job, "predicted_gain_per_s")), fmt::format("{:.1f}", number(job, "staleness")),
               total > 0 ? percent_text(number(job, "examples") / total) : "-"};
    if (limited) cells.push_back(limits_text(job));
    cells.push_back(text(job, "last_decision"));
    table.add(std::move(cells));
  }
  std::string out;
  std::string rest = table.text();
  for (std::size_t line = 0; !rest.empty(); ++line) {
    const std::size_t end = rest.find('\n');
    const std::string row = cut(rest.substr(0, end), width);
    const bool working = line > 0 && line <= jobs.size() && number(jobs[line - 1], "slots") > 0;
    const char* colour = !with_colours ? "" : line == 0 ? "\x1b[1m" : working ? "\x1b[32m" : "";
    out += fmt::format("{}{}{}\n", colour, row, *colour != '\0' ? "\x1b[0m" : "");
    rest.erase(0, end + 1);
  }
  if (jobs.size() > rows_max) out += fmt::format("… and {} more jobs\n", jobs.size() - rows_max);
  return out;
}

void Progress::show(const Json& ps, const std::vector<Json>& decisions) {
  for (const auto& decision : decisions) {
    for (auto& sentence : sentences(decision)) {
      std::string line = fmt::format("{:6.1f} s  {}", (clock_.now() - started_).seconds(), sentence);
      if (redraw_) {
        recent_.push_back(std::move(line));
        if (recent_.size() > kRecent) recent_.pop_front();
      } else if (printed_ < kPrintedBetween) {
        ++printed_;
        note(line);
      } else {
        ++unprinted_;
      }
    }
  }
  redraw_ ? redraw(ps) : print_lines(ps);
}

void Progress::redraw(const Json& ps) {
  const TerminalSize size = terminal_size();
  const std::size_t rows_max = size.rows > kRecent + 4 ? size.rows - kRecent - 4 : 1;
  std::string table = live_table(ps, size.columns - 1, rows_max, colours());
  for (const auto& line : recent_) table += cut(line, size.columns - 1) + "\n";
  // Up over the last drawing, then each line anew, and away with what is left below.
  std::string out = lines_drawn_ > 0 ? fmt::format("\x1b[{}A", lines_drawn_) : "";
  lines_drawn_ = 0;
  for (const char c : table) {
    if (c == '\n') out += "\x1b[K", ++lines_drawn_;
    out += c;
  }
  draw(out + "\x1b[J");
}

void Progress::print_lines(const Json& ps) {
  if (clock_.now() < next_line_) return;
  next_line_ = clock_.now() + from_ms(2000);
  if (unprinted_ > 0) note(fmt::format("          … and {} more changes (decisions.jsonl has all)", unprinted_));
  unprinted_ = printed_ = 0;
  note(progress_line(ps, (clock_.now() - started_).seconds()));
}

void Progress::finish() { lines_drawn_ = 0; }

}  // namespace sluice::cli::detail
