#include "sim/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "base/config.h"
#include "base/rng.h"
#include "sim/recorded_run.h"
#include "sim/table_file.h"

namespace sluice::sim {
namespace {

constexpr double kFailsFrom = 0.1, kFailsTo = 0.5;
constexpr double kDoubles = 0.05;  ///< of the steps
constexpr double kWorst = 1000;    ///< ranges

/// Days since 1970-01-01 of a date of the Gregorian calendar (Howard Hinnant's days_from_civil, public domain).
std::int64_t days(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2 ? 1 : 0;
  const std::int64_t era = year / 400, of_era = year % 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

std::optional<double> seconds_of(const std::string& text) {
  if (const auto number = to_number(text)) return number;
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, read = 0;
  const int fields = std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[ T]%2d:%2d:%2d%n", &year, &month, &day, &hour, &minute, &second, &read);
  if (fields != 6 || static_cast<std::size_t>(read) != text.size() || year < 1 || month < 1 || month > 12) return std::nullopt;
  return static_cast<double>(days(year, month, day)) * 86'400 + hour * 3600 + minute * 60 + second;
}

std::optional<std::size_t> any_column(const TableFile& table, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    if (const auto column = table.column(name)) return column;
  return std::nullopt;
}

/// The curve of a job that fails on the way.
Curve failed(const Curve& whole, Rng& rng) {
  const double at = (kFailsFrom + (kFailsTo - kFailsFrom) * rng.uniform()) * whole.steps();
  const bool diverges = rng.below(2) == 0;
  const double level = whole.at(at), range = std::max(std::abs(whole.first() - whole.best()), 1e-9);
  std::vector<double> losses, steps;
  for (std::size_t i = 0; i < whole.points().size() && whole.points()[i] < at; ++i) {
    losses.push_back(whole.losses()[i]);
    steps.push_back(whole.points()[i]);
  }
  losses.push_back(level);
  steps.push_back(at);
  for (double share = at / whole.steps() + kDoubles / 5; share < 1; share += kDoubles / 5) {
    const double doubled = std::min(kWorst, 0.05 * std::exp2((share - at / whole.steps()) / kDoubles));
    losses.push_back(diverges ? level + range * doubled : level);
    steps.push_back(share * whole.steps());
  }
  losses.push_back(losses.back());
  steps.push_back(whole.steps());
  return Curve(std::move(losses), std::move(steps), true);
}

class Drawing {
 public:
  Drawing(const Scenario& scenario, const Sources& sources, std::uint64_t seed) : scenario_(scenario), sources_(sources), rng_(mix64(seed, 77)) {
    for (std::size_t i = 0; i < sources.curves.curves.size(); ++i) groups_[sources.curves.curves[i].group].push_back(i);
    for (const auto& [name, members] : groups_)
      if (members.size() > 1) group_names_.push_back(name);
  }

  std::vector<SimJob> recorded() {
    std::vector<SimJob> jobs = sources_.recorded;
    for (SimJob& job : jobs) job.declared = rng_.uniform() >= scenario_.undeclared;
    return jobs;
  }

  std::vector<SimJob> jobs() {
    const std::uint64_t count = scenario_.jobs;
    const std::uint64_t times = scenario_.groups > 0 ? scenario_.groups : count;  // members of a group come together
    arrivals(times);
    std::vector<SimJob> jobs;
    std::vector<std::size_t> members;
    std::vector<double> sizes;
    double sum = 0;
    for (std::uint64_t j = 0; j < count; ++j) {
      const std::uint64_t at = scenario_.groups > 0 ? j * times / count : j;
      if (scenario_.groups > 0 && (j == 0 || at != (j - 1) * times / count)) members = draw_group();
      const NamedCurve& from = sources_.curves.curves[scenario_.groups > 0 ? next_of(members) : rng_.below(sources_.curves.curves.size())];
      const bool fails = rng_.uniform() < scenario_.failing, declared = rng_.uniform() >= scenario_.undeclared;
      Curve curve = fails ? failed(from.curve, rng_) : from.curve;
      const double steps = std::max(1.0, curve.steps());
      SimJob job{.name = fmt::format("job-{}", j + 1), .curve = std::move(curve), .steps = steps, .arrives = from_seconds(times_[at])};
      job.declared = declared;
      job.family = from.family;
      if (scenario_.staleness) job.staleness = scenario_.staleness->per_slot, job.penalty = scenario_.staleness->penalty;
      if (scenario_.groups > 0) job.group = fmt::format("group-{}", at + 1), job.best = scenario_.best;
      jobs.push_back(std::move(job));
      sizes.push_back(sources_.trace.empty() ? std::pow(scenario_.spread, rng_.uniform()) : work_[at]);
      sum += sizes.back();
    }
    const double load = scenario_.load > 0 ? scenario_.load : sources_.trace.empty() ? 0.8 : 0;
    const double between = mean_between_ * static_cast<double>(times) / static_cast<double>(count);
    const double scale = load > 0 ? load * scenario_.slots * between / (sum / static_cast<double>(count)) : 1;
    for (std::uint64_t j = 0; j < count; ++j) jobs[j].slot_seconds_per_step = sizes[j] * scale / jobs[j].steps;
    return jobs;
  }

 private:
  void arrivals(std::uint64_t count) {
    if (sources_.trace.empty()) {
      double at = 0;
      for (std::uint64_t i = 0; i < count; ++i) {
        times_.push_back(at);
        at += -std::log(1 - rng_.uniform()) * sources_.mean_between.seconds();
      }
      mean_between_ = sources_.mean_between.seconds();
      return;
    }
    // A stretch of the trace: each seed another one.
    const std::uint64_t from = rng_.below(sources_.trace.size() - count + 1);
    for (std::uint64_t i = from; i < from + count; ++i) {
      times_.push_back(sources_.trace[i].seconds - sources_.trace[from].seconds);
      work_.push_back(sources_.trace[i].work);
    }
    mean_between_ = count > 1 ? std::max(1e-3, times_.back() / static_cast<double>(count - 1)) : 1;
  }
  /// The curves of one group in a drawn order.
  std::vector<std::size_t> draw_group() {
    std::vector<std::size_t> members;
    if (group_names_.empty())
      for (std::size_t i = 0; i < sources_.curves.curves.size(); ++i) members.push_back(i);
    else
      members = groups_.at(group_names_[rng_.below(group_names_.size())]);
    for (std::size_t i = members.size(); i > 1; --i) std::swap(members[i - 1], members[rng_.below(i)]);
    return members;
  }
  static std::size_t next_of(std::vector<std::size_t>& members) {
    std::rotate(members.begin(), members.begin() + 1, members.end());
    return members.back();
  }

  const Scenario& scenario_;
  const Sources& sources_;
  SeededRng rng_;
  std::map<std::string, std::vector<std::size_t>> groups_;
  std::vector<std::string> group_names_;  ///< with two curves at least
  std::vector<double> times_, work_;
  double mean_between_ = 1;
};

}  // namespace

Result<std::vector<TraceJob>> read_trace(const std::string& path) {
  const auto table = read_table(path);
  if (!table) return fail(table.error());
  const auto time = any_column(*table, {"timestamp", "submit_time", "arrival"}), duration = any_column(*table, {"duration"});
  const auto slots = any_column(*table, {"num_gpus", "num_gpu", "slots"});
  if (!time || !duration) return fail(Errc::kBadData, fmt::format("{}: a trace needs the columns timestamp (or submit_time or arrival) and duration", path));
  std::vector<TraceJob> jobs;
  for (std::size_t row = 0; row < table->rows.size(); ++row) {
    const auto at = seconds_of(table->rows[row][*time]);
    if (!at)
      return fail(Errc::kBadData, fmt::format("{}:{}: a time must be seconds or YYYY-MM-DD HH:MM:SS, not '{}'", path, table->lines[row],
                                              table->rows[row][*time].substr(0, 80)));
    const auto seconds = table->number(row, *duration);
    if (!seconds) return fail(seconds.error());
    const auto width = slots ? table->number(row, *slots) : Result<double>(1);
    if (!width) return fail(width.error());
    if (*seconds * *width > 0) jobs.push_back({*at, *seconds * *width});
  }
  if (jobs.empty()) return fail(Errc::kBadData, fmt::format("{}: no job in it has any work", path));
  std::stable_sort(jobs.begin(), jobs.end(), [](const TraceJob& a, const TraceJob& b) { return a.seconds < b.seconds; });
  const double first = jobs.front().seconds;
  for (TraceJob& job : jobs) job.seconds -= first;
  return jobs;
}

Result<Sources> read_sources(const Scenario& scenario) {
  Sources out;
  if (scenario.arrivals.starts_with("run:")) {
    auto recorded = read_run(scenario.arrivals.substr(4), scenario.staleness);
    if (!recorded) return fail(recorded.error());
    out.recorded = std::move(*recorded);
    return out;
  }
  auto curves = read_curves(scenario.curves);
  if (!curves) return fail(curves.error());
  out.curves = std::move(*curves);
  if (!scenario.arrivals.starts_with("trace:")) {
    config::Node mean;
    mean.kind = config::Kind::kScalar;
    mean.text = scenario.arrivals.substr(8);
    out.mean_between = config::to_duration(mean).value_or(from_ms(15'000));
    return out;
  }
  auto trace = read_trace(scenario.arrivals.substr(6));
  if (!trace) return fail(trace.error());
  out.trace = std::move(*trace);
  const std::uint64_t wanted = scenario.groups > 0 ? scenario.groups : scenario.jobs;
  if (out.trace.size() < wanted)
    return fail(Errc::kBadConfig,
                fmt::format("the trace has {} jobs with work, and {} are wanted; give --jobs {} or less", out.trace.size(), wanted, out.trace.size()));
  return out;
}

std::vector<SimJob> draw_jobs(const Scenario& scenario, const Sources& sources, std::uint64_t seed) {
  Drawing drawing(scenario, sources, seed);
  return sources.recorded.empty() ? drawing.jobs() : drawing.recorded();
}

}  // namespace sluice::sim
