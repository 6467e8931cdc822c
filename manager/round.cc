#include "manager/round.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "manager/decision_json.h"
#include "manager/policies/claims.h"
#include "manager/quality.h"
#include "manager/view_json.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr std::size_t kKnotsMax = 16;
constexpr double kMoveCostWeight = 0.3;
constexpr double kMoveOutlier = 4;

std::uint32_t count_of(const std::map<JobId, std::uint32_t>& counts, JobId id) {
  const auto it = counts.find(id);
  return it == counts.end() ? 0 : it->second;
}

/// A loss that falls goes on falling: at least as 1/step does. A fit through noisy reports takes a curve for flat now and then, and a policy that believes it
/// does not hear that job again for long (docs/adr/0009).
std::vector<ForecastKnot> forecast_of(const Predictor& predictor, std::span<const LossPoint> points, double steps_per_slot, std::uint32_t slots) {
  std::vector<ForecastKnot> knots;
  if (!(steps_per_slot > 0)) return knots;
  const double level = predictor.after(0).mean;
  double drop = 0;
  for (double n = 0.5; knots.size() < kKnotsMax && (knots.empty() || n < 2.0 * slots); n *= 2) {
    const Forecast f = predictor.after(n * steps_per_slot);
    drop = std::max({drop, level - f.mean, expected_fall(points, n * steps_per_slot)});
    knots.push_back({n * steps_per_slot, drop, f.deviation});
  }
  return knots;
}

/// What past jobs of its model say of one that is as far.
void take_prior(JobView& v, const Job& job, const RemainingPrior& prior) {
  if (!v.declared && job.step > 0) v.total_steps = prior.total_steps(job.spec.model, static_cast<double>(job.step)).steps;
  if (!(v.total_steps > 0)) return;
  const auto left = prior.remaining(job.spec.model, static_cast<double>(job.step) / v.total_steps);
  v.prior_remaining = left.mean, v.prior_deviation = left.deviation;
  v.prior_slope = prior.steepest(job.spec.model, static_cast<double>(job.step) / v.total_steps) / v.total_steps;
}

}  // namespace

void say_paused(const ClusterView& view, Decision& decision) {
  for (const JobView& job : view.jobs) {
    if (job.slots_max > 0) continue;
    const auto d = std::lower_bound(decision.jobs.begin(), decision.jobs.end(), job.id, [](const JobDecision& of, JobId id) { return of.job < id; });
    if (d == decision.jobs.end() || d->job != job.id) continue;
    d->reason = Reason::kPaused;
    d->sentence = "it holds no worker slots until it is resumed";
  }
}

JobView view_of(const Job& job, const RoundOptions& options, std::uint32_t slots, Duration move_cost) {
  JobView v;
  v.id = job.id;
  v.name = job.spec.name;
  v.weight = job.spec.weight;
  v.slots_min = job.paused() ? 0 : job.spec.slots_min;
  v.slots_max = job.paused() ? 0 : job.spec.slots_max;
  v.slots = job.slots;
  v.phase = job.phase();
  v.reports = job.reports;
  v.loss = job.loss;
  v.first_loss = job.first_loss;
  v.floor = job.floor();
  v.normalized_loss = job.normalized_loss();
  v.largest_drop = job.largest_drop;
  v.steps_per_slot_second = job.steps_per_slot_second;
  v.speed_up = job.rates.speed_up();
  if (job.spec.consistency.mode == proto::ConsistencyMode::kBsp) v.speed_up.staleness_per_slot = 0;
  v.step = job.step;
  v.total_steps = job.declared_steps();
  v.declared = v.total_steps > 0;
  v.attained = job.slot_seconds;
  v.rounding = job.rounding;
  v.group = job.spec.group;
  v.best = job.spec.objective == proto::Objective::kBest;
  v.rungs = job.rungs;
  v.end_loss = v.floor;
  if (v.declared && job.predictor != nullptr && job.predictor->ready()) {
    const Forecast end = job.predictor->after(std::max(0.0, v.total_steps - static_cast<double>(v.step)));
    v.end_loss = std::min(job.best_loss, end.mean);
    v.end_deviation = end.deviation;
  }
  v.move_cost = move_cost;
  v.deficit_ns = job.deficit_ns;
  v.quantum_since = job.quantum_since;
  // Near the end there are only so many batches left to go round. Under bsp a slot that leaves changes the result: it stays.
  if (job.examples_total > job.examples && job.spec.consistency.mode != proto::ConsistencyMode::kBsp) {
    const std::uint64_t batches = (job.examples_total - job.examples + job.spec.step_rows() - 1) / job.spec.step_rows();
    v.usable = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(batches, 1, v.usable));
  }
  const bool learns = v.phase == JobPhase::kTraining || v.phase == JobPhase::kPlateau;
  if (learns && !job.paused() && job.predictor != nullptr && job.predictor->ready())
    v.forecast =
        forecast_of(*job.predictor, job.curve.points(), job.steps_per_slot_second * quantum_of(options.round, options.quantum_min, move_cost).seconds(), slots);
  return v;
}

Rounds::Rounds(const RoundOptions& options, std::unique_ptr<Policy> policy, JobTable& jobs, Fleet& fleet)
    : options_(options), policy_(std::move(policy)), memo_(policy_->make_memo()), jobs_(jobs), fleet_(fleet) {}

RoundResult Rounds::run(Instant now, Term term, const std::string& trigger) {
  RoundResult result;
  ++rounds_;
  result.refits = refit(options_.refit_iterations_max);
  look(now);
  std::vector<JobId> changed;
  for (const JobView& v : view_.jobs) changed.push_back(v.id);
  Decision decision = policy_->decide(view_, changed, *memo_);
  say_paused(view_, decision);
  by_index_ = decision.by_index;
  result.price = price_ = decision.price;
  const Counts before = std::exchange(granted_, {});
  result.changes = carry_out(decision);
  granted_ = fleet_.granted();
  for (const auto& [worker, change] : lost_) {
    result.changes.push_back(change);
    if (Job* from = jobs_.find(change.from); from != nullptr && from->ended()) from->slots = 0;
  }
  if (!result.changes.empty()) { result.decision = DecisionId{++decisions_}; }
  if (!result.changes.empty() && options_.record) {
    result.line = describe(decision, result.changes, before);
    result.line["term"] = term.value;
    result.line["trigger"] = trigger;
    await_outcome(now);
  }
  lost_.clear();
  return result;
}

int Rounds::refit(int iterations_max) {
  int refits = 0;
  while (iterations_max > 0) {
    Job* job = jobs_.next_to_refit();
    if (job == nullptr) break;
    const int iterations = job->predictor->refit();
    iterations_max -= iterations;
    refits += iterations > 0 ? 1 : 0;
  }
  return refits;
}

void Rounds::go_on_with_shadow(Instant now) {
  for (const JobId id : seen_) {
    const Job* job = jobs_.find(id);
    if (job == nullptr || !job->ended()) continue;
    shadow_.ended(id, static_cast<double>(job->step), job->state == JobState::kDone ? job->slot_seconds : 0);
    contention_.keep(job->rates.evidence());
  }
  seen_ = jobs_.live();
  contention_.begin();
  for (const JobId id : seen_) contention_.add(jobs_.find(id)->rates.evidence());
  view_.usual_kappa = contention_.kappa(fleet_.slots());
  for (const JobId id : seen_) {
    Job& job = *jobs_.find(id);
    if (view_.usual_kappa >= 0) job.rates.expect(view_.usual_kappa);
    shadow_.see(id, job.submitted, job.declared_steps(), job.rates.speed_up());
  }
  shadow_.advance(now, fleet_.slots());
  view_.usual_stay = shadow_.usual_stay();
  view_.usual_attained = shadow_.usual_attained();
  view_.by_index = by_index_;
}

void Rounds::look(Instant now) {
  view_ = ClusterView{};
  view_.now = now;
  view_.elapsed = last_ ? now - *last_ : Duration{};
  view_.round = options_.round;
  view_.quantum_min = options_.quantum_min;
  view_.fairness = options_.fairness;
  last_ = now;
  for (const auto& [id, worker] : fleet_.workers()) {
    HostView& host = view_.hosts.emplace_back();
    host.id = id;
    host.name = worker.name;
    host.slots = static_cast<std::uint32_t>(worker.slots.size());
    host.capacity.cores = static_cast<double>(host.slots);
  }
  go_on_with_shadow(now);
  const Counts held = fleet_.granted();
  const std::uint32_t slots = fleet_.slots();
  for (const JobId id : jobs_.live()) {
    Job& job = *jobs_.find(id);
    if (held_) {
      job.slots = 0;
      continue;
    }
    job.slots = count_of(held, id);
    if (job.slots > 0) job.last_held = now;
    JobView& v = view_.jobs.emplace_back(view_of(job, options_, slots, move_cost(job)));
    take_prior(v, job, jobs_.prior());
    v.group_best = jobs_.group_best(job.spec.group);
    v.behind = shadow_.behind(id, static_cast<double>(job.step));
    v.age = now - job.submitted;
    v.waited = now - job.last_held.value_or(job.submitted);
  }
}

std::vector<SlotChange> Rounds::carry_out(const Decision& decision) {
  Counts wanted;
  for (const JobDecision& d : decision.jobs) {
    Job& job = *jobs_.find(d.job);
    job.slots = d.slots;
    job.deficit_ns = d.deficit_ns;
    job.quantum_since = d.quantum_since;
    job.rounding = d.rounding;
    job.last_decision = d;
    wanted[d.job] = d.slots;
    if (d.slots > 0) jobs_.started(d.job);
  }
  std::vector<SlotChange> changes = place(fleet_, wanted);
  for (const SlotChange& change : changes) {
    fleet_.apply(change);
    if (Job* to = jobs_.find(change.to)) ++to->moves_in;
    if (Job* from = jobs_.find(change.from); from != nullptr && from->ended()) {
      from->slots = 0;
      fleet_.forget(from->id);
    }
  }
  return changes;
}

json Rounds::name_or_null(JobId id) const {
  const Job* job = jobs_.find(id);
  return job == nullptr ? json() : json(job->spec.name);
}

json Rounds::describe(const Decision& decision, const std::vector<SlotChange>& changes, const Counts& before) {
  json moves = json::array(), entries = json::array();
  std::set<JobId> touched;
  const std::size_t kept = changes.size() - lost_.size();
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const SlotChange& c = changes[i];
    const bool gone = i >= kept;
    json move = {{"worker", gone ? lost_[i - kept].first : fleet_.workers().at(c.at.worker).name},
                 {"slot", c.at.slot.value},
                 {"from", name_or_null(c.from)},
                 {"to", name_or_null(c.to)}};
    if (gone) move["lost"] = true;
    moves.push_back(std::move(move));
    for (const JobId id : {c.from, c.to})
      if (id != JobId{}) touched.insert(id);
  }
  for (const JobId id : touched) {
    const auto decided = std::lower_bound(decision.jobs.begin(), decision.jobs.end(), id, [](const JobDecision& d, JobId wanted) { return d.job < wanted; });
    const bool known = decided != decision.jobs.end() && decided->job == id;
    entries.push_back(entry(*jobs_.find(id), decision, known ? &*decided : nullptr, count_of(before, id), count_of(granted_, id)));
  }
  json view = to_json(view_);
  json line = {{"version", 1},
               {"kind", "round"},
               {"decision", decisions_},
               {"round", rounds_},
               {"time_ms", static_cast<double>((view_.now - options_.began).ns / 1000) / 1000},
               {"policy", policy_->name()},
               {"policy_version", policy_->version()},
               {"price", decision.price},
               {"slots", fleet_.slots()},
               {"changes", std::move(entries)},
               {"moves", std::move(moves)},
               {"refused", refused_json(decision, [this](JobId id) { return name_or_null(id); })},
               {"view", patch_between(recorded_, view)}};
  recorded_ = std::move(view);
  return line;
}

json Rounds::entry(const Job& job, const Decision& decision, const JobDecision* decided, std::uint32_t before, std::uint32_t after) const {
  json out = {{"job", job.spec.name},
              {"id", job.id.value},
              {"before", before},
              {"after", after},
              {"state", name_of(job.state)},
              {"phase", name_of(job.phase())},
              {"step", job.step},
              {"loss", job.loss},
              {"normalized_loss", job.normalized_loss()},
              {"steps_per_slot_second", job.steps_per_slot_second},
              {"refused", json::array()}};
  put_decision(out, decided != nullptr ? *decided : JobDecision{});
  if (decided == nullptr) {
    const bool cancelled = job.state == JobState::kCancelled;
    out["reason"] = name_of(cancelled ? Reason::kCancelled : Reason::kEnded);
    out["sentence"] = cancelled ? job.reason : fmt::format("{}: {}", name_of(job.state), job.reason);
  }
  for (const auto& [worker, change] : lost_) {
    if (change.from != job.id) continue;
    out["reason"] = name_of(Reason::kWorkerLost);
    out["sentence"] = fmt::format("worker {} is lost; {}", worker, out["sentence"].get<std::string>());
    break;
  }
  if (after > before) out["refused"] = refused_beside(job.id, decision, [this](JobId id) { return name_or_null(id); });
  return out;
}

void Rounds::lost(const std::string& worker, const std::vector<SlotChange>& changes) {
  for (const SlotChange& change : changes) lost_.emplace_back(worker, change);
}

void Rounds::moved(JobId id, Duration stall) {
  Job* job = jobs_.find(id);
  if (job == nullptr || stall.ns < 0) return;
  // One stall that the operating system made long must not make the quantum, which is 20 × this, long as well.
  const auto mean = [&](double before) {
    const double now = static_cast<double>(stall.ns);
    return before > 0 ? before + kMoveCostWeight * (std::min(now, kMoveOutlier * before) - before) : now;
  };
  usual_move_ns_ = mean(usual_move_ns_);
  job->move_cost = Duration{std::llround(mean(static_cast<double>(job->move_cost.ns)))};
  ++job->moves_measured;
}

/// A job's only measurement may be an outlier, and a job that seems dear to move is not moved, and so not measured again: until the second it is bounded by
/// what moves to other jobs cost.
Duration Rounds::move_cost(const Job& job) const {
  if (job.moves_measured > 1 || !(usual_move_ns_ > 0)) return job.move_cost;
  return std::min(job.move_cost, Duration{std::llround(kMoveOutlier * usual_move_ns_)});
}

void Rounds::await_outcome(Instant now) {
  Pending pending{DecisionId{decisions_}, now, {}};
  for (const JobView& v : view_.jobs) {
    const Job& job = *jobs_.find(v.id);
    if (!v.forecast.empty() && job.slots > 0) pending.items.push_back({v.id, job.step, job.loss, job.slot_seconds, v.speed_up.rate(job.slots) / job.slots, v});
  }
  if (pending.items.empty()) return;
  pending_.push_back(std::move(pending));
  if (pending_.size() > kPendingMax) pending_.pop_front();
}

json Rounds::outcome(Instant now) {
  while (!pending_.empty() && now - pending_.front().at >= options_.round) {
    const Pending pending = std::move(pending_.front());
    pending_.pop_front();
    json jobs = json::array();
    for (const Pending::Item& item : pending.items) {
      const Job* job = jobs_.find(item.job);
      if (job == nullptr || job->step <= item.step) continue;
      const double steps = static_cast<double>(job->step - item.step);
      jobs.push_back({{"job", job->spec.name},
                      {"steps", steps},
                      {"predicted_steps", item.steps_per_slot_second * (job->slot_seconds - item.slot_seconds)},
                      {"predicted_drop", drop_after(item.view, steps).drop},
                      {"actual_drop", item.loss - job->loss}});
    }
    if (!jobs.empty()) return {{"version", 1}, {"kind", "outcome"}, {"decision", pending.decision.value}, {"jobs", std::move(jobs)}};
  }
  return nullptr;
}

}  // namespace sluice::manager
