#include "sim/scenario.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "base/config.h"
#include "base/text.h"
#include "manager/predictor.h"
#include "manager/rate_model.h"
#include "sim/simulation.h"
#include "sim/speedup.h"

namespace sluice::sim {
namespace {
using config::Kind;
using config::MapReader;
using config::Node;
using config::Problems;

constexpr Duration kYear = from_ms(366LL * 86'400'000);

/// A list of texts, or one text with commas.
std::vector<std::string> texts(const Node* node, const char* key, Problems& problems) {
  std::vector<std::string> out;
  if (node == nullptr) return out;
  if (node->kind == Kind::kScalar) {
    std::string_view rest = node->text;
    while (true) {
      const std::size_t comma = rest.find(',');
      out.emplace_back(rest.substr(0, comma));
      if (comma == std::string_view::npos) return out;
      rest.remove_prefix(comma + 1);
    }
  }
  for (const Node& item : node->items) {
    if (item.kind == Kind::kScalar)
      out.push_back(item.text);
    else
      problems.add(item.mark, fmt::format("'{}' must be a list of texts", key));
  }
  if (node->kind != Kind::kList) problems.add(node->mark, fmt::format("'{}' must be a list of texts, not {}", key, config::describe(*node)));
  return out;
}

/// A length of time that may be nought.
Duration time(MapReader& reader, const char* key, Duration otherwise, Problems& problems) {
  const Node* node = reader.take(key);
  if (node == nullptr) return otherwise;
  if (config::to_number(*node) == 0) return {};
  const auto value = config::to_duration(*node);
  if (value && *value <= kYear) return *value;
  problems.add(node->mark, fmt::format("'{}' must be a time with its unit up to a year (250us, 20ms, 3s, 5min) or 0, not {}", key, config::describe(*node)));
  return otherwise;
}

double number(MapReader& reader, const char* key, double otherwise, double least, double most, Problems& problems) {
  const Node* node = reader.take(key);
  if (node == nullptr) return otherwise;
  const auto value = config::to_number(*node);
  if (value && *value >= least && *value <= most) return *value;
  problems.add(node->mark, fmt::format("'{}' must be a number from {} to {}, not {}", key, least, most, config::describe(*node)));
  return otherwise;
}

void read_seeds(const Node* node, Scenario& out, Problems& problems) {
  if (node == nullptr) return;
  const std::string text = node->text;
  const std::size_t dots = text.find("..");
  const auto whole = [](const std::string& part) {
    return config::to_count(Node{.kind = Kind::kScalar, .mark = {}, .text = part, .items = {}, .entries = {}});
  };
  const auto first = whole(text.substr(0, dots)), last = dots == std::string::npos ? first : whole(text.substr(dots + 2));
  if (node->kind == Kind::kScalar && first && last && *first <= *last && *last - *first < 10'000) {
    out.seed_first = *first;
    out.seed_last = *last;
  } else {
    problems.add(node->mark, fmt::format("'seeds' must be a seed or a range such as 1..10, at most 10000 seeds, not {}", config::describe(*node)));
  }
}

void read_objective(MapReader& reader, Scenario& out, Problems& problems) {
  const std::string objective = reader.text("objective", "each");
  out.best = objective == "best";
  if (objective != "each" && objective != "best") problems.add(reader.mark("objective"), text::unknown_name("objective", objective, {"best", "each"}));
  if (out.best && out.groups == 0) problems.add(reader.mark("objective"), "objective: best is about groups; give 'groups' their number too");
  if (out.groups > out.jobs) problems.add(reader.mark("groups"), fmt::format("{} groups are more than {} jobs", out.groups, out.jobs));
}

void read_fairness(MapReader& reader, Scenario& out, Problems& problems) {
  const Node* node = reader.take("fairness");
  if (node == nullptr) return;
  if (const auto fairness = manager::parse_fairness(node->text); fairness && node->kind == Kind::kScalar)
    out.fairness = *fairness;
  else
    problems.add(node->mark,
                 fmt::format("'fairness' must be a number from 0 to 1 (how much waiting counts beside loss) or strict, not {}", config::describe(*node)));
}

/// SIGMA or SIGMA,PENALTY; a penalty that is not given is what the manager believes before it has measured any.
void read_staleness(const Node* node, Scenario& out, Problems& problems) {
  if (node == nullptr) return;
  const std::vector<std::string> parts = texts(node, "staleness", problems);
  Staleness read{0, manager::RateModel().speed_up().penalty};
  bool known = parts.size() == 1 || parts.size() == 2;
  for (std::size_t i = 0; known && i < parts.size(); ++i) {
    const auto value = config::to_number(Node{.kind = Kind::kScalar, .mark = {}, .text = parts[i], .items = {}, .entries = {}});
    known = value && *value >= 0 && *value <= (i == 0 ? 1e6 : 1);
    if (known) (i == 0 ? read.per_slot : read.penalty) = *value;
  }
  if (known)
    out.staleness = read;
  else
    problems.add(node->mark, fmt::format("'staleness' must be the steps that each further slot adds, and perhaps what a step of it costs (0 to 1), such as "
                                         "4.4 or 4.4,0.15, not {}",
                                         config::describe(*node)));
}

/// Words of a room at the key's place.
void check(const Result<void>& checked, const config::Mark& mark, Problems& problems) {
  if (!checked) problems.add(mark, checked.error().what, checked.error().code);
}

void read_names(MapReader& reader, Scenario& out, Problems& problems) {
  if (const Node* node = reader.take("policies")) out.policies = texts(node, "policies", problems);
  for (const std::string& policy : out.policies) check(check_policy(policy), reader.mark("policies"), problems);
  out.predictor = reader.text("predictor", out.predictor);
  const auto predictors = manager::builtin_predictors();
  if (out.predictor != "auto" && !predictors.find(out.predictor))
    problems.add(reader.mark("predictor"), fmt::format("{}, or auto", predictors.find(out.predictor).error().what));
  out.speedup = reader.text("speedup", out.speedup);
  if (const auto speedup = Speedup::parse(out.speedup); !speedup) problems.add(reader.mark("speedup"), speedup.error().what, speedup.error().code);
  out.arrivals = reader.text("arrivals", out.arrivals);
  const bool trace = out.arrivals.starts_with("trace:") && out.arrivals.size() > 6;
  const Node mean{.kind = Kind::kScalar, .mark = {}, .text = out.arrivals.substr(std::min<std::size_t>(8, out.arrivals.size())), .items = {}, .entries = {}};
  const bool run = out.arrivals.starts_with("run:") && out.arrivals.size() > 4;
  if (!trace && !run && !(out.arrivals.starts_with("poisson:") && config::to_duration(mean)))
    problems.add(reader.mark("arrivals"), fmt::format("arrivals '{}' are none of poisson:TIME (such as poisson:15s), trace:FILE and run:FOLDER", out.arrivals));
}

/// A recorded run has its own curves, sizes and groups.
void read_what_comes(const Node& root, const Scenario& out, Problems& problems) {
  const bool run = out.arrivals.starts_with("run:");
  if (!run && out.curves.empty())
    problems.add(root.mark, "a scenario needs 'curves' (--curves), files or folders with loss curves, or 'arrivals: run:FOLDER' (--arrivals)");
  if (!run) return;
  for (const char* key : {"curves", "jobs", "load", "spread", "failing", "groups", "objective"})
    if (const Node* node = root.find(key)) problems.add(node->mark, fmt::format("'{}' is the recorded run's own, with arrivals: run:FOLDER", key));
}

/// Paths in a file are relative to its folder.
void place(std::string& path, const std::string& folder) {
  if (!folder.empty() && !path.empty() && path.front() != '/') path = (std::filesystem::path(folder) / path).string();
}
void place_after(std::string& text, std::string_view prefix, const std::string& folder) {
  if (!text.starts_with(prefix)) return;
  std::string path = text.substr(prefix.size());
  place(path, folder);
  text = std::string(prefix) + path;
}

/// Puts the folder of the file before the relative paths that were written in it.
void place_paths(Node& root, const std::string& folder) {
  if (Node* curves = root.find("curves")) {
    if (curves->kind == Kind::kScalar) place(curves->text, folder);
    for (Node& item : curves->items) place(item.text, folder);
  }
  for (const std::string_view kind : {"trace:", "run:"})
    if (Node* arrivals = root.find("arrivals")) place_after(arrivals->text, kind, folder);
  if (Node* speedup = root.find("speedup")) place_after(speedup->text, "table:", folder);
}

Scenario read(const Node& root, Problems& problems) {
  Scenario out;
  MapReader reader(root, "the scenario", problems);
  out.curves = texts(reader.take("curves"), "curves", problems);
  out.jobs = reader.count("jobs", out.jobs, 1, 100'000);
  out.slots = static_cast<std::uint32_t>(reader.count("slots", out.slots, 1, 1'000'000));
  out.round = reader.duration("round", out.round, from_ms(1), kYear);
  out.report = reader.duration("report", out.report, from_ms(1), kYear);
  out.report_delay = time(reader, "report_delay", out.report_delay, problems);
  out.decision_delay = time(reader, "decision_delay", out.decision_delay, problems);
  out.move_cost = time(reader, "move_cost", out.move_cost, problems);
  out.load = number(reader, "load", out.load, 0.001, 100, problems);
  out.spread = number(reader, "spread", out.spread, 1, 1e6, problems);
  read_staleness(reader.take("staleness"), out, problems);
  out.noise = number(reader, "noise", out.noise, 0, 10, problems);
  out.undeclared = number(reader, "undeclared", out.undeclared, 0, 1, problems);
  out.failing = number(reader, "failing", out.failing, 0, 1, problems);
  out.groups = static_cast<std::uint32_t>(reader.count("groups", out.groups, 0, 100'000));
  read_objective(reader, out, problems);
  out.hosts = static_cast<std::uint32_t>(reader.count("hosts", out.hosts, 1, out.slots));
  out.host_fails = time(reader, "host_fails", out.host_fails, problems);
  out.host_repair = reader.duration("host_repair", out.host_repair, from_ms(1), kYear);
  read_names(reader, out, problems);
  read_what_comes(root, out, problems);
  read_fairness(reader, out, problems);
  read_seeds(reader.take("seeds"), out, problems);
  out.until = reader.duration("until", out.until, from_ms(1), from_ms(20LL * 366 * 86'400'000));
  reader.finish();
  return out;
}

}  // namespace

Result<Scenario> read_scenario(const std::string& path, const std::vector<std::pair<std::string, std::string>>& flags) {
  Problems problems;
  Node root{.kind = Kind::kMap, .mark = {}, .text = {}, .items = {}, .entries = {}};
  if (!path.empty()) {
    const auto text = config::read_text(path);
    if (!text) return fail(text.error());
    root = config::parse(*text, problems.add_source(path), problems);
    if (!problems.empty()) return fail(problems.error());
    if (root.kind == Kind::kNull) return fail(Errc::kBadConfig, fmt::format("{}: empty; a scenario needs 'curves', or 'arrivals: run:FOLDER'", path));
    place_paths(root, std::filesystem::path(path).parent_path().string());
  }
  for (const auto& [key, value] : flags) {
    std::string flag = key;
    for (char& c : flag)
      if (c == '_') c = '-';
    const auto source = problems.add_source(fmt::format("--{} {}", flag, value));
    Node node = config::parse(value, source, problems);
    node.mark = {source, 0, 0};
    config::assign(root, key, node, problems);
  }
  if (root.mark.source == 0 && path.empty() && flags.empty()) root.mark.source = problems.add_source("the scenario");
  const Scenario out = read(root, problems);
  if (!problems.empty()) return fail(problems.error());
  return out;
}

}  // namespace sluice::sim
