#include "manager/round.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "manager/decision_json.h"
#include "manager/policies/claims.h"
#include "manager/view_json.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr std::size_t kAheadWanted = 8;  ///< jobs whose memory is fetched while others are worked on

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

Rounds::Rounds(const RoundOptions& options, std::unique_ptr<Policy> policy, JobTable& jobs, Fleet& fleet)
    : options_(options),
      policy_(std::move(policy)),
      memo_(policy_->make_memo()),
      incremental_(policy_->make_incremental()),
      jobs_(jobs),
      fleet_(fleet),
      keeper_(std::make_unique<ViewKeeper>(options, jobs, fleet)) {
  memo_->all_sentences = false;
}

RoundResult Rounds::run(Instant now, Term term, const std::string& trigger) {
  RoundResult result;
  ++rounds_;
  Instant lap = options_.stopwatch != nullptr ? options_.stopwatch->now() : Instant{};
  const auto took = [&](double& part) {
    if (options_.stopwatch == nullptr) return;
    const Instant at = options_.stopwatch->now();
    part = (at - std::exchange(lap, at)).ms();
  };
  result.refits = refit(options_.refit_iterations_max);
  took(result.parts.refit_ms);
  look(now);
  result.views_made = keeper_->made();
  took(result.parts.view_ms);
  Counts wanted;
  decide(wanted);
  result.price = price_;
  took(result.parts.decide_ms);
  result.changes = carry_out(wanted);
  for (const auto& [worker, change] : lost_) {
    result.changes.push_back(change);
    if (Job* from = jobs_.find(change.from); from != nullptr && from->ended()) from->slots = 0;
  }
  took(result.parts.carry_ms);
  if (!result.changes.empty()) { result.decision = DecisionId{++decisions_}; }
  if (!result.changes.empty() && options_.record) {
    result.line = describe(result.changes);
    result.line["term"] = term.value;
    result.line["trigger"] = trigger;
    await_outcome(now);
  }
  lost_.clear();
  took(result.parts.record_ms);
  return result;
}

int Rounds::refit(int iterations_max) {
  int refits = 0;
  while (iterations_max > 0) {
    Job* job = jobs_.next_to_refit();
    if (job == nullptr) break;
    const int iterations = job->predictor->refit();
    iterations_max -= iterations;
    if (iterations == 0) continue;
    ++refits;
    jobs_.touch(*job);  // its forecast is another one, perhaps rounds after its report
  }
  return refits;
}

void Rounds::look(Instant now) {
  if (std::exchange(carries_, false)) {
    std::vector<JobView>& jobs = keeper_->view().jobs;
    for (std::size_t i = 0; i < decision_->jobs.size(); ++i) {
      const JobDecision& d = decision_->jobs[i];
      jobs[i].deficit_ns = d.deficit_ns;
      jobs[i].quantum_since = d.quantum_since;
      jobs[i].rounding = d.rounding;
    }
  }
  keeper_->look(now, by_index_, quick_ ? incremental_.get() : nullptr);
}

void Rounds::decide(Counts& wanted) {
  const bool in_view = !quick_ || keeper_->moved_places();  // what is carried from round to round
  decision_.reset();
  whole_ = false;
  for (const Job* job : keeper_->left()) {
    if (fleet_.granted(job->id) > 0) wanted.push_back({job->id, 0});
    fleet_.forget(job->id);
  }
  if (held_) return decide_held(in_view, wanted);
  if (decide_quickly(in_view, wanted)) return;
  seen_ = carries_ = true;
  keeper_->foretell_all();
  const ClusterView& view = keeper_->view();
  decision_ = policy_->decide(view, *memo_);
  say_paused(view, *decision_);
  price_ = decision_->price;
  by_index_ = decision_->by_index;
  for (std::size_t i = 0; i < decision_->jobs.size(); ++i)
    if (decision_->jobs[i].slots != view.jobs[i].slots) want(i, decision_->jobs[i].slots, wanted);
}

bool Rounds::decide_quickly(bool in_view, Counts& wanted) {
  const Incremental::Answer* answer = incremental_ == nullptr ? nullptr : incremental_->decide(keeper_->view(), keeper_->slots(), keeper_->changed(), in_view);
  if (answer == nullptr && !in_view) incremental_->put(keeper_->view());
  quick_ = answer != nullptr;
  if (!quick_) return false;
  seen_ = false;
  price_ = answer->price;
  by_index_ = answer->by_index;
  for (std::size_t i = 0; i < answer->changes.size(); ++i) {
    if (i + kAheadWanted < answer->changes.size()) __builtin_prefetch(&keeper_->job_at(answer->changes[i + kAheadWanted].place));
    want(answer->changes[i].place, answer->changes[i].slots, wanted);
  }
  return true;
}

/// The policy sees nobody, and nobody has anything.
void Rounds::decide_held(bool in_view, Counts& wanted) {
  ClusterView& view = keeper_->view();
  if (!in_view) incremental_->put(view);
  quick_ = false;
  seen_ = true;
  std::vector<JobView> jobs = std::exchange(view.jobs, {});
  nobody_ = view;
  view.jobs = std::move(jobs);
  decision_ = policy_->decide(nobody_, *memo_);
  price_ = decision_->price;
  by_index_ = decision_->by_index;
  wanted.clear();
  for (const JobId id : fleet_.holders()) {
    wanted.push_back({id, 0});
    if (Job* job = jobs_.find(id); !job->ended()) keeper_->set_slots(*job, 0);
  }
}

void Rounds::want(std::size_t place, std::uint32_t slots, Counts& wanted) {
  Job& job = keeper_->job_at(place);
  wanted.push_back({job.id, slots});
  if (slots > job.slots) job.moves_in += slots - job.slots;
  if (slots > 0 && job.state == JobState::kWaiting) jobs_.started(job.id);
  keeper_->set_slots(job, slots);
}

std::vector<SlotChange> Rounds::carry_out(Counts& wanted) {
  if (wanted.empty()) return {};
  if (!keeper_->left().empty()) std::sort(wanted.begin(), wanted.end(), [](const Wanted& a, const Wanted& b) { return a.job < b.job; });
  std::vector<SlotChange> changes = place(fleet_, wanted);
  fleet_.apply(changes);
  for (const SlotChange& change : changes) {
    if (keeper_->left().empty() || change.from == JobId{}) continue;
    if (Job* from = jobs_.find(change.from); from->ended()) {
      from->slots = 0;
      fleet_.forget(from->id);
    }
  }
  return changes;
}

const ClusterView& Rounds::view() const {
  if (held_) return nobody_;
  if (!std::exchange(seen_, true)) {
    keeper_->foretell_all();
    incremental_->put_seen(keeper_->view());
  }
  return keeper_->view();
}

const Decision& Rounds::decision(bool whole) const {
  if (!decision_ || (whole && !whole_)) {
    const auto memo = policy_->make_memo();
    memo->all_sentences = whole_ = whole;
    decision_ = policy_->decide(view(), *memo);
    say_paused(view(), *decision_);
  }
  return *decision_;
}

const JobDecision& Rounds::decision_of(JobId id) const {
  static const JobDecision none;
  const std::vector<JobDecision>& all = decision().jobs;
  const auto d = std::lower_bound(all.begin(), all.end(), id, [](const JobDecision& of, JobId wanted) { return of.job < wanted; });
  return d == all.end() || d->job != id ? none : *d;
}
json Rounds::name_or_null(JobId id) const {
  const Job* job = jobs_.find(id);
  return job == nullptr ? json() : json(job->spec.name);
}

json Rounds::describe(const std::vector<SlotChange>& changes) {
  json moves = json::array(), entries = json::array();
  std::map<JobId, std::int64_t> gained;
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
    if (c.from != JobId{}) --gained[c.from];
    if (c.to != JobId{}) ++gained[c.to];
  }
  const Decision& decided = decision(!lost_.empty());  // who lost a slot may have as many as before
  for (const auto& [id, more] : gained) entries.push_back(entry(*jobs_.find(id), static_cast<std::uint32_t>(fleet_.granted(id) - more)));
  json line = {{"version", 1},
               {"kind", "round"},
               {"decision", decisions_},
               {"round", rounds_},
               {"time_ms", static_cast<double>((view().now - options_.began).ns / 1000) / 1000},
               {"policy", policy_->name()},
               {"policy_version", policy_->version()},
               {"price", decided.price},
               {"slots", fleet_.slots()},
               {"changes", std::move(entries)},
               {"moves", std::move(moves)},
               {"refused", refused_json(decided, [this](JobId id) { return name_or_null(id); })},
               {"view", recorded_ ? patch_between(*recorded_, view()) : to_json(view())}};
  recorded_ = view();
  return line;
}

json Rounds::entry(const Job& job, std::uint32_t before) const {
  const Decision& decided = decision(false);
  const std::uint32_t after = fleet_.granted(job.id);
  const auto d = std::lower_bound(decided.jobs.begin(), decided.jobs.end(), job.id, [](const JobDecision& of, JobId wanted) { return of.job < wanted; });
  const bool known = d != decided.jobs.end() && d->job == job.id;
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
  put_decision(out, known ? *d : JobDecision{});
  if (!known) {
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
  if (after > before) out["refused"] = refused_beside(job.id, decided, [this](JobId id) { return name_or_null(id); });
  return out;
}

void Rounds::lost(const std::string& worker, const std::vector<SlotChange>& changes) {
  for (const SlotChange& change : changes) {
    lost_.emplace_back(worker, change);
    Job* job = jobs_.find(change.from);
    if (job == nullptr || job->ended()) continue;
    keeper_->set_slots(*job, fleet_.granted(job->id));
    jobs_.touch(*job);
  }
}

void Rounds::moved(JobId id, Duration stall) {
  if (Job* job = jobs_.find(id); job != nullptr && stall.ns >= 0) keeper_->moved(*job, stall);
}

void Rounds::await_outcome(Instant now) {
  Pending pending{DecisionId{decisions_}, now, {}};
  for (std::size_t i = 0; i < view().jobs.size(); ++i) {
    const JobView& v = keeper_->view().jobs[i];
    const Job& job = keeper_->job_at(i);
    if (v.forecast.empty() || job.slots == 0) continue;
    pending.items.push_back({v.id, job.step, job.loss, job.slot_seconds, v.speed_up.rate(job.slots) / job.slots, v.forecast});
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
                      {"predicted_drop", drop_after(item.forecast, steps).drop},
                      {"actual_drop", item.loss - job->loss}});
    }
    if (!jobs.empty()) return {{"version", 1}, {"kind", "outcome"}, {"decision", pending.decision.value}, {"jobs", std::move(jobs)}};
  }
  return nullptr;
}

}  // namespace sluice::manager
