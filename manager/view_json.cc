#include "manager/view_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace sluice::manager {
namespace {

using nlohmann::json;

json to_json(const HostView& h) {
  return {{"name", h.name},
          {"slots", h.slots},
          {"cores", h.capacity.cores},
          {"memory_bytes", h.capacity.memory_bytes},
          {"owner", h.owner},
          {"loaned_until_ns", h.loaned_until.ns},
          {"cost_per_slot_second", h.cost_per_slot_second},
          {"preemption_cost", h.preemption_cost}};
}

json to_json(const JobView& j) {
  json knots = json::array();
  for (const ForecastKnot& k : j.forecast) knots.push_back({k.steps, k.drop, k.deviation});
  return {{"name", j.name},
          {"group", j.group},
          {"best", j.best},
          {"weight", j.weight},
          {"slots_min", j.slots_min},
          {"slots_max", j.slots_max},
          {"usable", j.usable},
          {"slots", j.slots},
          {"phase", static_cast<int>(j.phase)},
          {"reports", j.reports},
          {"loss", j.loss},
          {"first_loss", j.first_loss},
          {"floor", j.floor},
          {"normalized_loss", j.normalized_loss},
          {"largest_drop", j.largest_drop},
          {"steps_per_slot_second", j.steps_per_slot_second},
          {"speed_up", {j.speed_up.alone, j.speed_up.kappa, j.speed_up.staleness_per_slot, j.speed_up.penalty}},
          {"step", j.step},
          {"total_steps", j.total_steps},
          {"declared", j.declared},
          {"prior_remaining", j.prior_remaining},
          {"prior_deviation", j.prior_deviation},
          {"prior_slope", j.prior_slope},
          {"forecast", std::move(knots)},
          {"rungs", j.rungs},
          {"waited_ns", j.waited.ns},
          {"move_cost_ns", j.move_cost.ns},
          {"end_loss", j.end_loss},
          {"end_deviation", j.end_deviation},
          {"group_best", j.group_best},
          {"age_ns", j.age.ns},
          {"behind_ns", j.behind.ns},
          {"attained", j.attained},
          {"rounding", j.rounding},
          {"deficit_ns", j.deficit_ns},
          {"quantum_since_ns", j.quantum_since.ns}};
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

JobView job_from(const std::string& id, const json& j) {
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
  for (const json& k : j.at("forecast")) out.forecast.push_back({k.at(0), k.at(1), k.at(2)});
  out.rungs = j.value("rungs", std::vector<double>{});
  out.waited = Duration{j.at("waited_ns").get<std::int64_t>()};
  out.move_cost = Duration{j.at("move_cost_ns").get<std::int64_t>()};
  out.end_loss = j.at("end_loss");
  out.end_deviation = j.value("end_deviation", 0.0);
  out.group_best = j.value("group_best", 0.0);
  out.age = Duration{j.at("age_ns").get<std::int64_t>()};
  out.behind = Duration{j.at("behind_ns").get<std::int64_t>()};
  out.attained = j.at("attained");
  out.rounding = j.at("rounding");
  out.deficit_ns = j.at("deficit_ns");
  out.quantum_since = Instant{j.at("quantum_since_ns").get<std::int64_t>()};
  return out;
}

}  // namespace

json to_json(const ClusterView& view) {
  json hosts = json::object(), jobs = json::object();
  for (const HostView& h : view.hosts) hosts[std::to_string(h.id.value)] = to_json(h);
  for (const JobView& j : view.jobs) jobs[std::to_string(j.id.value)] = to_json(j);
  return {{"now_ns", view.now.ns},
          {"elapsed_ns", view.elapsed.ns},
          {"round_ns", view.round.ns},
          {"quantum_min_ns", view.quantum_min.ns},
          {"fairness", to_text(view.fairness)},
          {"usual_stay_ns", view.usual_stay.ns},
          {"usual_attained", view.usual_attained},
          {"usual_kappa", view.usual_kappa},
          {"by_index", view.by_index},
          {"hosts", std::move(hosts)},
          {"jobs", std::move(jobs)}};
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
  for (const auto& [id, job] : from.at("jobs").items()) view.jobs.push_back(job_from(id, job));
  const auto by_id = [](const auto& a, const auto& b) { return a.id < b.id; };
  std::sort(view.hosts.begin(), view.hosts.end(), by_id);
  std::sort(view.jobs.begin(), view.jobs.end(), by_id);
  return view;
} catch (const std::exception& e) { return fail(Errc::kMalformed, fmt::format("not a recorded view: {}", e.what())); }

json patch_between(const json& before, const json& after) {
  json patch = json::object();
  for (const auto& [key, value] : after.items()) {
    const auto had = before.find(key);
    if (had == before.end())
      patch[key] = value;
    else if (value.is_object() && had->is_object()) {
      if (json inner = patch_between(*had, value); !inner.empty()) patch[key] = std::move(inner);
    } else if (*had != value)
      patch[key] = value;
  }
  for (const auto& [key, value] : before.items())
    if (!after.contains(key)) patch[key] = nullptr;
  return patch;
}

}  // namespace sluice::manager
