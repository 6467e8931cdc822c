#include "sim/curve_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string_view>

#include "sim/table_file.h"

namespace sluice::sim {
namespace {
namespace fs = std::filesystem;

bool is_table(const std::string& path) { return path.ends_with(".csv") || path.ends_with(".csv.gz"); }

std::string stem_of(const std::string& path) {
  std::string name = fs::path(path).filename().string();
  for (const std::string_view ending : {".gz", ".csv", ".txt"})
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  return name;
}

Result<void> read_text_curve(const std::string& path, CurveSet& out) {
  const auto text = read_whole(path);
  if (!text) return fail(text.error());
  std::vector<double> losses;
  std::size_t line_number = 0;
  for (std::string_view rest = *text; !rest.empty();) {
    const std::size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto loss = to_number(line);
    if (!loss) return fail(Errc::kBadData, fmt::format("{}:{}: a loss must be a finite number, not '{}'", path, line_number, line.substr(0, 80)));
    losses.push_back(*loss);
  }
  if (losses.size() < 2) return fail(Errc::kBadData, fmt::format("{}: {} losses; a curve needs two", path, losses.size()));
  const std::string name = stem_of(path);
  out.curves.push_back({name, name, name, Curve(std::move(losses))});
  return {};
}

/// A run's points as they are read.
struct Run {
  std::string name, family, group;
  std::vector<double> losses, steps;
};

Result<std::vector<Run>> runs_of(const TableFile& table, const char* name_column) {
  const auto name = table.column(name_column), step = table.column("step"), family = table.column("family"), group = table.column("group");
  auto loss = table.column("loss");
  if (!loss) loss = table.column("validation_loss");
  if (!loss) return fail(Errc::kBadData, fmt::format("{}: a table of curves needs a column loss or validation_loss", table.path));
  std::vector<Run> runs;
  std::map<std::string, std::size_t> places;
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    const auto& cells = table.rows[row];
    const std::string run_name = name ? cells[*name] : stem_of(table.path);
    const auto [place, fresh] = places.try_emplace(run_name, runs.size());
    if (fresh) {
      const std::string before_slash = run_name.substr(0, run_name.find('/'));
      runs.push_back({run_name, family ? cells[*family] : before_slash, group ? cells[*group] : stem_of(table.path), {}, {}});
    }
    Run& run = runs[place->second];
    const auto value = table.number(row, *loss);
    if (!value) return fail(value.error());
    const auto at = step ? table.number(row, *step) : Result<double>(static_cast<double>(run.losses.size()));
    if (!at) return fail(at.error());
    if (!run.steps.empty() && !(*at > run.steps.back()))
      return fail(Errc::kBadData,
                  fmt::format("{}:{}: step {} of run '{}' does not come after {}", table.path, table.lines[row], *at, run_name, run.steps.back()));
    run.losses.push_back(*value);
    run.steps.push_back(*at);
  }
  return runs;
}

Result<void> read_table_curves(const std::string& path, const char* name_column, CurveSet& out) {
  const auto table = read_table(path);
  if (!table) return fail(table.error());
  auto runs = runs_of(*table, name_column);
  if (!runs) return fail(runs.error());
  for (Run& run : *runs) {
    if (run.losses.size() < 2) {
      ++out.left_out;
      continue;
    }
    const double first = run.steps.front();
    for (double& step : run.steps) step -= first;
    out.curves.push_back({run.name, run.family, run.group, Curve(std::move(run.losses), std::move(run.steps))});
  }
  return {};
}

Result<void> read_path(const std::string& path, CurveSet& out) {
  std::error_code error;
  if (!fs::exists(path, error)) return fail(Errc::kNotFound, fmt::format("{}: no such file or folder", path));
  if (!fs::is_directory(path, error)) {
    if (path.ends_with(".txt")) return read_text_curve(path, out);
    if (is_table(path)) return read_table_curves(path, "run", out);
    return fail(Errc::kBadConfig, fmt::format("{}: curves come from .txt, .csv and .csv.gz files and from folders", path));
  }
  const std::string losses = (fs::path(path) / "losses.csv").string();
  if (fs::exists(losses, error)) return read_table_curves(losses, "job", out);
  std::vector<std::string> files;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string file = it->path().string();
    if (file.ends_with(".txt") || is_table(file)) files.push_back(file);
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) return fail(Errc::kBadConfig, fmt::format("{}: a folder without losses.csv, .txt, .csv and .csv.gz files", path));
  for (const std::string& file : files)
    if (auto read = read_path(file, out); !read) return read;
  return {};
}

}  // namespace

Result<CurveSet> read_curves(const std::vector<std::string>& paths) {
  CurveSet out;
  for (const std::string& path : paths)
    if (auto read = read_path(path, out); !read) return fail(read.error());
  if (out.curves.empty()) return fail(Errc::kBadConfig, "there is no curve to simulate; give --curves a file or folder with some");
  return out;
}

}  // namespace sluice::sim
