#include "manager/view_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {

using nlohmann::json;

json json_of(const Instant& at) { return at.ns; }
json json_of(const Duration& d) { return d.ns; }
json json_of(const Fairness& f) { return to_text(f); }
json json_of(const JobPhase& phase) { return static_cast<int>(phase); }
json json_of(const SpeedUp& s) { return {s.alone, s.kappa, s.staleness_per_slot, s.penalty}; }
/// [s, d₁, v₁, d₂, v₂, …], where the knots are at s, 2 s, 4 s, … steps, as the rounds make them: a third less to write; else [[steps, drop, deviation], …].
json json_of(const std::vector<ForecastKnot>& knots) {
  json out = json::array();
  bool doubles = !knots.empty();
  for (std::size_t i = 1; i < knots.size(); ++i) doubles = doubles && knots[i].steps == 2 * knots[i - 1].steps;
  if (doubles) out.push_back(knots.front().steps);
  for (const ForecastKnot& k : knots)
    if (doubles)
      out.push_back(k.drop), out.push_back(k.deviation);
    else
      out.push_back({k.steps, k.drop, k.deviation});
  return out;
}
std::vector<ForecastKnot> knots_from(const json& j) {
  std::vector<ForecastKnot> out;
  if (j.empty() || j.front().is_array()) {
    for (const json& k : j) out.push_back({k.at(0), k.at(1), k.at(2)});
    return out;
  }
  double steps = j.front();
  // A number that is missing throws, as every access here does.
  for (std::size_t i = 1; i < j.size(); i += 2, steps *= 2) out.push_back({steps, j.at(i), j.at(i + 1)});
  return out;
}
template <class T>
json json_of(const T& value) {
  return value;
}

/// Calls `f(name, of a, of b)` for each field.
template <class F>
void each_field(const HostView& a, const HostView& b, F&& f) {
  f("name", a.name, b.name);
  f("slots", a.slots, b.slots);
  f("cores", a.capacity.cores, b.capacity.cores);
  f("memory_bytes", a.capacity.memory_bytes, b.capacity.memory_bytes);
  f("owner", a.owner, b.owner);
  f("loaned_until_ns", a.loaned_until, b.loaned_until);
  f("cost_per_slot_second", a.cost_per_slot_second, b.cost_per_slot_second);
  f("preemption_cost", a.preemption_cost, b.preemption_cost);
}

template <class F>
void each_field(const JobView& a, const JobView& b, F&& f) {
  f("name", a.name, b.name);
  f("group", a.group, b.group);
  f("best", a.best, b.best);
  f("weight", a.weight, b.weight);
  f("slots_min", a.slots_min, b.slots_min);
  f("slots_max", a.slots_max, b.slots_max);
  f("usable", a.usable, b.usable);
  f("slots", a.slots, b.slots);
  f("phase", a.phase, b.phase);
  f("reports", a.reports, b.reports);
  f("loss", a.loss, b.loss);
  f("level", a.level, b.level);
  f("first_loss", a.first_loss, b.first_loss);
  f("floor", a.floor, b.floor);
  f("normalized_loss", a.normalized_loss, b.normalized_loss);
  f("largest_drop", a.largest_drop, b.largest_drop);
  f("steps_per_slot_second", a.steps_per_slot_second, b.steps_per_slot_second);
  f("speed_up", a.speed_up, b.speed_up);
  f("step", a.step, b.step);
  f("total_steps", a.total_steps, b.total_steps);
  f("declared", a.declared, b.declared);
  f("prior_remaining", a.prior_remaining, b.prior_remaining);
  f("prior_deviation", a.prior_deviation, b.prior_deviation);
  f("prior_slope", a.prior_slope, b.prior_slope);
  f("forecast", a.forecast, b.forecast);
  f("rungs", a.rungs, b.rungs);
  f("waits_since_ns", a.waits_since, b.waits_since);
  f("move_cost_ns", a.move_cost, b.move_cost);
  f("end_loss", a.end_loss, b.end_loss);
  f("end_deviation", a.end_deviation, b.end_deviation);
  f("group_best", a.group_best, b.group_best);
  f("submitted_ns", a.submitted, b.submitted);
  f("behind_ns", a.behind, b.behind);
  f("attained", a.attained, b.attained);
  f("rounding", a.rounding, b.rounding);
  f("deficit_ns", a.deficit_ns, b.deficit_ns);
  f("quantum_since_ns", a.quantum_since, b.quantum_since);
}

/// But for hosts and jobs.
template <class F>
void each_field(const ClusterView& a, const ClusterView& b, F&& f) {
  f("now_ns", a.now, b.now);
  f("elapsed_ns", a.elapsed, b.elapsed);
  f("round_ns", a.round, b.round);
  f("quantum_min_ns", a.quantum_min, b.quantum_min);
  f("fairness", a.fairness, b.fairness);
  f("usual_stay_ns", a.usual_stay, b.usual_stay);
  f("usual_attained", a.usual_attained, b.usual_attained);
  f("usual_kappa", a.usual_kappa, b.usual_kappa);
  f("by_index", a.by_index, b.by_index);
}

template <class T>
json all_of(const T& of) {
  json out = json::object();
  each_field(of, of, [&](const char* name, const auto&, const auto& value) { out[name] = json_of(value); });
  return out;
}

template <class T>
json changes_of(const T& before, const T& after) {
  json out = json::object();
  each_field(before, after, [&](const char* name, const auto& was, const auto& is) {
    if (!(was == is)) out[name] = json_of(is);
  });
  return out;
}

/// Both by id.
template <class T>
json changes_of(const std::vector<T>& before, const std::vector<T>& after) {
  json out = json::object();
  auto was = before.begin();
  for (const T& is : after) {
    for (; was != before.end() && was->id < is.id; ++was) out[std::to_string(was->id.value)] = nullptr;
    if (was == before.end() || is.id < was->id) {
      out[std::to_string(is.id.value)] = all_of(is);
      continue;
    }
    if (json changes = changes_of(*was, is); !changes.empty()) out[std::to_string(is.id.value)] = std::move(changes);
    ++was;
  }
  for (; was != before.end(); ++was) out[std::to_string(was->id.value)] = nullptr;
  return out;
}

HostView host_from(const std::string& id, const json& h) {
  return {.id = WorkerId{static_cast<std::uint32_t>(std::stoul(id))},
          .name = h.at("name"),
          .slots = h.at("slots"),
          .capacity = {.cores = h.at("cores"), .memory_bytes = h.at("memory_bytes")},
          .owner = h.at("owner"),
          .loaned_until = Instant{h.at("loaned_until_ns").get<std::int64_t>()},
          .cost_per_slot_second = h.at("cost_per_slot_second"),
          .preemption_cost = h.at("preemption_cost")};
}

/// A point of time; logs of before recorded how long ago it was.
Instant since_from(const json& j, const char* key, const char* ago, Instant now) {
  return j.contains(key) ? Instant{j.at(key).get<std::int64_t>()} : Instant{now.ns - j.at(ago).get<std::int64_t>()};
}

JobView job_from(const std::string& id, const json& j, Instant now) {
  JobView out;
  out.id = JobId{std::stoull(id)};
  out.name = j.at("name");
  out.group = j.at("group");
  out.best = j.value("best", false);
  out.weight = j.at("weight");
  out.slots_min = j.at("slots_min");
  out.slots_max = j.at("slots_max");
  out.usable = j.at("usable");
  out.slots = j.at("slots");
  out.phase = static_cast<JobPhase>(std::clamp(j.at("phase").get<int>(), 0, 4));
  out.reports = j.at("reports");
  out.loss = j.at("loss");
  out.level = j.value("level", out.loss);
  out.first_loss = j.at("first_loss");
  out.floor = j.at("floor");
  out.normalized_loss = j.at("normalized_loss");
  out.largest_drop = j.at("largest_drop");
  out.steps_per_slot_second = j.at("steps_per_slot_second");
  const json& s = j.at("speed_up");
  out.speed_up = {s.at(0), s.at(1), s.at(2), s.at(3)};
  out.step = j.at("step");
  out.total_steps = j.at("total_steps");
  out.declared = j.at("declared");
  out.prior_remaining = j.at("prior_remaining");
  out.prior_deviation = j.at("prior_deviation");
  out.prior_slope = j.value("prior_slope", 0.0);
  out.forecast = knots_from(j.at("forecast"));
  out.rungs = j.value("rungs", std::vector<double>{});
  out.waits_since = since_from(j, "waits_since_ns", "waited_ns", now);
  out.move_cost = Duration{j.at("move_cost_ns").get<std::int64_t>()};
  out.end_loss = j.at("end_loss");
  out.end_deviation = j.value("end_deviation", 0.0);
  out.group_best = j.value("group_best", 0.0);
  out.submitted = since_from(j, "submitted_ns", "age_ns", now);
  out.behind = Duration{j.at("behind_ns").get<std::int64_t>()};
  out.attained = j.at("attained");
  out.rounding = j.at("rounding");
  out.deficit_ns = j.at("deficit_ns");
  out.quantum_since = Instant{j.at("quantum_since_ns").get<std::int64_t>()};
  return out;
}

}  // namespace

json to_json(const ClusterView& view) {
  json out = all_of(view), hosts = json::object(), jobs = json::object();
  for (const HostView& h : view.hosts) hosts[std::to_string(h.id.value)] = all_of(h);
  for (const JobView& j : view.jobs) jobs[std::to_string(j.id.value)] = all_of(j);
  out["hosts"] = std::move(hosts);
  out["jobs"] = std::move(jobs);
  return out;
}

Result<ClusterView> view_from_json(const json& from) try {
  ClusterView view;
  view.now = Instant{from.at("now_ns").get<std::int64_t>()};
  view.elapsed = Duration{from.at("elapsed_ns").get<std::int64_t>()};
  view.round = Duration{from.at("round_ns").get<std::int64_t>()};
  view.quantum_min = Duration{from.at("quantum_min_ns").get<std::int64_t>()};
  view.fairness = parse_fairness(from.at("fairness").get<std::string>()).value_or(Fairness{});
  view.usual_stay = Duration{from.at("usual_stay_ns").get<std::int64_t>()};
  view.usual_kappa = from.at("usual_kappa");
  view.by_index = from.value("by_index", false);
  view.usual_attained = from.at("usual_attained");
  for (const auto& [id, host] : from.at("hosts").items()) view.hosts.push_back(host_from(id, host));
  for (const auto& [id, job] : from.at("jobs").items()) view.jobs.push_back(job_from(id, job, view.now));
  const auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };
  std::sort(view.hosts.begin(), view.hosts.end(), by_id);
  std::sort(view.jobs.begin(), view.jobs.end(), by_id);
  return view;
} catch (const std::exception& e) { return fail(Errc::kMalformed, fmt::format("not a recorded view: {}", e.what())); }

json patch_between(const ClusterView& before, const ClusterView& after) {
  json patch = changes_of(before, after);
  if (json hosts = changes_of(before.hosts, after.hosts); !hosts.empty()) patch["hosts"] = std::move(hosts);
  if (json jobs = changes_of(before.jobs, after.jobs); !jobs.empty()) patch["jobs"] = std::move(jobs);
  return patch;
}

}  // namespace sluice::manager
