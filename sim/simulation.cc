#include "sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <map>
#include <memory>

#include "base/rng.h"
#include "manager/policies/claims.h"
#include "manager/round.h"
#include "sim/group_score.h"
#include "sim/oracles.h"
#include "sim/track.h"

namespace sluice::sim {
namespace {

using manager::Fleet;
using manager::JobTable;
using manager::Rounds;

class Simulation final : public Truth {
 public:
  Simulation(const SimOptions& options, const std::vector<SimJob>& jobs, manager::MakePredictor predictor)
      : options_(options), jobs_(std::move(predictor)), rounds_(round_options(options), make_policy(options.policy, *this), jobs_, fleet_), rng_(options.seed) {
    for (std::uint32_t i = 0; i < options_.hosts; ++i) {
      Host& host = hosts_.emplace_back();
      host.slots = options_.slots * (i + 1) / options_.hosts - options_.slots * i / options_.hosts;
      raise(i);
    }
    std::map<std::string, std::size_t> groups;
    for (const SimJob& job : jobs) {
      Track& track = *tracks_.emplace_back(std::make_unique<Track>(job, options_, start_));
      if (job.group.empty()) continue;
      const auto [it, fresh] = groups.try_emplace(job.group, groups_.size());
      if (fresh) groups_.emplace_back(job.group);
      groups_[it->second].add(track);
    }
    // Of those that come at one moment the first given is the first to get an id, as it is where they are submitted together.
    for (auto track = tracks_.rbegin(); track != tracks_.rend(); ++track) coming_.push_back(track->get());
    std::stable_sort(coming_.begin(), coming_.end(), [](const Track* a, const Track* b) { return a->arrives() > b->arrives(); });
  }

  Result<SimResult> run() {
    next_round_ = next_report_ = clock_.now();
    while ((!coming_.empty() || !active_.empty()) && clock_.now() - start_ < options_.until) {
      advance(next_event());
      if (auto arrived = arrive(); !arrived) return fail(arrived.error());
      hosts_change();
      report();
      deliver();
      if (trigger_ || clock_.now() >= next_round_) decide();
    }
    return finish();
  }

  const SimJob* job(JobId id) const override {
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? nullptr : &it->second->job();
  }
  double step(JobId id) const override { return by_id_.at(id)->step(); }
  double place(JobId id) const override { return by_id_.at(id)->place(); }
  double group_best(const std::string& group) const override {
    return std::find_if(groups_.begin(), groups_.end(), [&](const GroupScore& g) { return g.name() == group; })->best();
  }
  const SimOptions& options() const override { return options_; }

 private:
  struct Host {
    std::uint32_t slots = 0;
    bool up = false;
    Instant next = Instant::never();  ///< fails, or is back
  };
  struct Delivery {
    Instant at;
    std::optional<proto::JobReport> report;
    JobId ended;                                                           ///< 0: none
    std::optional<std::vector<std::pair<Track*, std::uint32_t>>> granted;  ///< slots of every active job
  };
  /// What a round foretold of a job.
  struct Foretold {
    double step = 0, place = 0;
    manager::JobView view;
  };

  static manager::RoundOptions round_options(const SimOptions& options) {
    manager::RoundOptions out;
    out.round = options.round;
    out.quantum_min = options.round;
    out.refit_iterations_max = std::numeric_limits<int>::max();
    out.fairness = options.fairness;
    out.record = false;
    return out;
  }

  // --- time
  // ----------------------------------------------------------------------------------------------------------------------------------------------------

  [[nodiscard]] Instant next_event() const {
    Instant next = std::min(next_round_, next_report_);
    if (active_.empty() && deliveries_.empty() && !coming_.empty()) next = coming_.back()->arrives();
    if (!coming_.empty()) next = std::min(next, coming_.back()->arrives());
    if (!deliveries_.empty()) next = std::min(next, deliveries_.front().at);
    for (const Host& host : hosts_) next = std::min(next, host.next);
    for (const Track* track : active_) next = std::min(next, track->next());
    return std::clamp(next, clock_.now(), start_ + options_.until);
  }

  void advance(Instant to) {
    const double seconds = (to - clock_.now()).seconds();
    const std::size_t active = active_.size();
    double area = 0;
    for (Track* track : active_) {
      track->advance(to);
      area += track->take_area();
    }
    if (active > 0) active_area_ += area / static_cast<double>(active), active_seconds_ += seconds;
    if (seconds > 0)
      for (GroupScore& group : groups_) group.advance(seconds);
    clock_.advance_to(to);
    if (active == 0) next_round_ = std::max(next_round_, to), next_report_ = std::max(next_report_, to);
  }

  // --- what comes and goes
  // -------------------------------------------------------------------------------------------------------------------------------------

  Result<void> arrive() {
    while (!coming_.empty() && coming_.back()->arrives() <= clock_.now()) {
      Track& track = *coming_.back();
      coming_.pop_back();
      proto::JobSpec spec;
      spec.name = track.job().name;
      spec.model = track.job().family.empty() ? "curve" : track.job().family;
      spec.batch = 128;
      spec.slots_max = options_.slots;
      spec.group = track.job().group;
      spec.objective = track.job().best ? proto::Objective::kBest : proto::Objective::kEach;
      // Where nothing is stale a simulated step goes on all slots at once, so that there is never less work than slots.
      if (!(track.job().staleness > 0)) spec.consistency.mode = proto::ConsistencyMode::kBsp;
      const auto ids = jobs_.submit({std::move(spec)}, clock_.now());
      if (!ids) return fail(ids.error());
      track.begin(ids->front());
      // What jobs would have had under fair sharing is told from their rates: an oracle's jobs may never show what fewer slots are worth.
      if (is_oracle(options_.policy)) jobs_.find(track.id())->rates.expect(true_kappa(options_));
      by_id_[track.id()] = &track;
      active_.push_back(&track);
      trigger_ = true;
    }
    return {};
  }

  void raise(std::uint32_t i) {
    Host& host = hosts_[i];
    host.up = true;
    fleet_.add(WorkerId(i + 1), fmt::format("host-{}", i + 1), host.slots);
    host.next = options_.host_fails.ns > 0 ? clock_.now() + exponential(options_.host_fails) : Instant::never();
    trigger_ = true;
  }
  void hosts_change() {
    for (std::uint32_t i = 0; i < hosts_.size(); ++i) {
      Host& host = hosts_[i];
      if (host.next > clock_.now()) continue;
      if (!host.up) {
        raise(i);
        continue;
      }
      host.up = false;
      host.next = clock_.now() + exponential(options_.host_repair);
      const auto lost = fleet_.remove(WorkerId(i + 1));
      rounds_.lost(fmt::format("host-{}", i + 1), lost);
      std::map<JobId, std::uint32_t> gone;
      for (const auto& change : lost) ++gone[change.from];
      for (Track* track : active_)
        if (const auto it = gone.find(track->id()); it != gone.end()) track->set_slots(track->slots() - std::min(track->slots(), it->second));
      trigger_ = true;
    }
  }

  // --- reports and grants on their way -----------------------------------------------------------------------------------------------------------------------

  void report() {
    const bool timer = clock_.now() >= next_report_;
    if (timer) next_report_ = next_report_ + options_.report;
    const Instant at = clock_.now() + options_.report_delay;
    for (Track* track : active_) {
      if (!timer && !track->ended() && !track->early_report_due()) continue;
      if (auto report = track->report(rng_)) send({at, std::move(report), {}, {}});
      if (track->ended()) send({at, {}, track->id(), {}});
    }
    std::erase_if(active_, [](const Track* track) { return track->ended(); });
  }
  /// Reports and grants may take different times: what is due first comes first, of the same time what was sent first.
  void send(Delivery delivery) {
    const auto before = [](const Delivery& a, const Delivery& b) { return a.at < b.at; };
    deliveries_.insert(std::upper_bound(deliveries_.begin(), deliveries_.end(), delivery, before), std::move(delivery));
  }
  void deliver() {
    while (!deliveries_.empty() && deliveries_.front().at <= clock_.now()) {
      const Delivery delivery = std::move(deliveries_.front());
      deliveries_.pop_front();
      if (delivery.report) {
        const manager::News news = jobs_.report(*delivery.report, clock_.now());
        trigger_ = trigger_ || news == manager::News::kPhase;
      }
      if (delivery.ended.value != 0 && jobs_.finish(delivery.ended, by_id_.at(delivery.ended)->ended_words(), clock_.now())) trigger_ = true;
      if (delivery.granted)
        for (const auto& [track, slots] : *delivery.granted)
          if (!track->ended()) track->set_slots(slots);
    }
  }

  // --- rounds
  // --------------------------------------------------------------------------------------------------------------------------------------------------

  void decide() {
    if (clock_.now() >= next_round_) next_round_ = clock_.now() + options_.round;
    trigger_ = false;
    const Instant began = stopwatch_.now();
    const auto round = rounds_.run(clock_.now(), Term(1), "timer");
    result_.round_ms.push_back((stopwatch_.now() - began).ms());
    result_.decisions += round.changes.empty() ? 0 : 1;
    for (const auto& change : round.changes) result_.moves += change.to != JobId{} ? 1 : 0;
    if (!round.changes.empty()) grant();
    if (options_.series) sample(round.price);
  }
  void grant() {
    std::vector<std::pair<Track*, std::uint32_t>> all;
    for (Track* track : active_) {
      all.emplace_back(track, fleet_.granted(track->id()));
      if (all.back().second > track->slots()) rounds_.moved(track->id(), options_.move_cost);
    }
    if (options_.decision_delay.ns > 0) return send({clock_.now() + options_.decision_delay, {}, {}, std::move(all)});
    for (const auto& [track, slots] : all) track->set_slots(slots);
  }

  void sample(double price) {
    for (const auto& [track, was] : foretold_) {
      const double steps = track->step() - was.step, range = track->job().curve.first() - track->job().curve.best();
      if (steps < 1 || was.view.forecast.empty() || !(range > 0)) continue;
      const double truth = track->job().curve.at(was.place) - track->job().curve.at(track->place());
      result_.prediction_errors.push_back(std::abs(drop_after(was.view, steps).drop - truth) / range);
    }
    foretold_.clear();
    for (const manager::JobView& view : rounds_.view().jobs)
      if (const auto it = by_id_.find(view.id); it != by_id_.end() && !it->second->ended())
        foretold_.emplace_back(it->second, Foretold{it->second->step(), it->second->place(), view});
    Sample s{.seconds = (clock_.now() - start_).seconds(), .active = static_cast<std::uint32_t>(active_.size()), .price = price, .moves = result_.moves};
    std::vector<const Track*> by_loss(active_.begin(), active_.end());
    std::stable_sort(by_loss.begin(), by_loss.end(), [](const Track* a, const Track* b) { return a->normalized_loss() > b->normalized_loss(); });
    for (std::size_t i = 0; i < by_loss.size(); ++i) {
      s.normalized_loss += by_loss[i]->normalized_loss() / static_cast<double>(by_loss.size());
      (4 * i < by_loss.size() ? s.high : 2 * i < by_loss.size() ? s.middle : s.low) += by_loss[i]->slots();
    }
    result_.samples.push_back(s);
  }

  SimResult finish() {
    for (const auto& track : tracks_) result_.jobs.push_back(track->result());
    for (const GroupScore& group : groups_) result_.groups.push_back(group.result());
    result_.seconds = (clock_.now() - start_).seconds();
    result_.rounds = rounds_.count();
    result_.active_normalized_loss = active_seconds_ > 0 ? active_area_ / active_seconds_ : 0;
    std::sort(result_.round_ms.begin(), result_.round_ms.end());
    std::sort(result_.prediction_errors.begin(), result_.prediction_errors.end());
    return std::move(result_);
  }

  Duration exponential(Duration mean) { return Duration{1 + static_cast<std::int64_t>(-std::log(1 - rng_.uniform()) * static_cast<double>(mean.ns))}; }

  const SimOptions& options_;
  SimClock clock_;
  const SystemClock stopwatch_;
  const Instant start_ = clock_.now();
  JobTable jobs_;
  Fleet fleet_;
  Rounds rounds_;
  SeededRng rng_;
  std::vector<Host> hosts_;
  std::vector<std::unique_ptr<Track>> tracks_;  ///< in the order given
  std::vector<Track*> coming_;                  ///< the next one last
  std::vector<Track*> active_;                  ///< arrived and not at their end, by arrival
  std::map<JobId, Track*> by_id_;
  std::vector<GroupScore> groups_;
  std::deque<Delivery> deliveries_;
  std::vector<std::pair<Track*, Foretold>> foretold_;
  Instant next_round_, next_report_;
  bool trigger_ = false;
  double active_area_ = 0, active_seconds_ = 0;
  SimResult result_;
};

}  // namespace

std::vector<std::string> policy_names() {
  auto names = manager::builtin_policies().names();
  for (const std::string_view oracle : kOracles) names.emplace_back(oracle);
  return names;
}

Result<void> check_policy(const std::string& name) {
  if (is_oracle(name)) return {};
  const auto policies = manager::builtin_policies();
  const auto found = policies.find(name);
  if (!found) return fail(Errc::kBadConfig, fmt::format("{}; and the oracles {}", found.error().what, fmt::join(kOracles, ", ")));
  return {};
}

Result<SimResult> simulate(const SimOptions& given, const std::vector<SimJob>& jobs) {
  SimOptions options = given;
  if (options.kappa > 0 && options.speedup.linear()) options.speedup = Speedup::concave(options.kappa);
  if (const auto known = check_policy(options.policy); !known) return fail(known.error());
  const auto predictors = manager::builtin_predictors();
  const auto predictor = predictors.find(options.predictor);
  if (!predictor) return fail(predictor.error());
  for (const Duration delay : {options.report_delay, options.decision_delay, options.move_cost, options.host_fails})
    if (delay.ns < 0) return fail(Errc::kBadConfig, "a simulation's delays and costs are not below 0");
  if (options.slots == 0 || options.hosts == 0 || options.hosts > options.slots || options.round.ns <= 0 || options.report.ns <= 0 || options.kappa < 0 ||
      options.host_repair.ns <= 0)
    return fail(Errc::kBadConfig, "a simulation needs slots, as many as hosts at least, and rounds and reports that take time");
  for (const SimJob& job : jobs) {
    if (!(job.steps >= 1) || !(job.slot_seconds_per_step > 0)) return fail(Errc::kBadConfig, "job '" + job.name + "' has no steps, or steps that take no time");
    if (!(job.staleness >= 0) || !(job.penalty >= 0)) return fail(Errc::kBadConfig, "job '" + job.name + "' has a staleness or a penalty below 0");
  }
  return Simulation(options, jobs, **predictor).run();
}

}  // namespace sluice::sim
