#include "sim/simulation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/rng.h"
#include "manager/round.h"

namespace sluice::sim {
namespace {

using manager::Fleet;
using manager::JobTable;
using manager::Rounds;

constexpr std::uint32_t kBatch = 128;                     ///< examples a step: only their proportion counts
constexpr std::array<double, 4> kEarly = {1, 4, 16, 64};  ///< steps after which a job home reports at once

class Simulation {
 public:
  Simulation(const SimOptions& options, const std::vector<SimJob>& jobs, std::unique_ptr<manager::Policy> policy, manager::MakePredictor predictor)
      : options_(options), jobs_(std::move(predictor)), rounds_(round_options(options), std::move(policy), jobs_, fleet_), rng_(options.seed) {
    fleet_.add(WorkerId(1), "host", options.slots);
    for (const SimJob& job : jobs) {
      tracks_.emplace_back().job = &job;
      result_.jobs.emplace_back().name = job.name;
    }
  }

  Result<SimResult> run() {
    std::size_t left = tracks_.size();
    Instant next_round = clock_.now();
    while (left > 0 && since_start() < options_.until) {
      auto arrived = arrive();
      if (!arrived) return fail(arrived.error());
      if (*arrived || ended_ || clock_.now() >= next_round) {
        decide();
        next_round = clock_.now() + options_.round;
      }
      clock_.advance(options_.tick);
      const std::size_t before = left;
      for (std::size_t i = 0; i < tracks_.size(); ++i) left -= advance(tracks_[i], result_.jobs[i]) ? 1 : 0;
      ended_ = left < before;
      (void)rounds_.refit(100);
    }
    result_.seconds = now();
    return std::move(result_);
  }

 private:
  struct Track {  ///< a job under way
    const SimJob* job = nullptr;
    JobId id;  ///< 0: has not arrived
    double step = 0, reported = 0;
    std::uint32_t slots = 0;
    double stall = 0;  ///< slot-seconds that its moves still cost
    double slot_seconds = 0, first_commit = 0, last_report = 0;
    std::size_t early = 0;  ///< of kEarly, done
    bool ended = false;
  };

  static manager::RoundOptions round_options(const SimOptions& options) {
    manager::RoundOptions out;
    out.round = options.round;
    out.quantum_min = options.round;
    return out;
  }
  [[nodiscard]] Duration since_start() const { return clock_.now() - start_; }
  [[nodiscard]] double now() const { return since_start().seconds(); }

  Result<bool> arrive() {
    bool any = false;
    for (Track& track : tracks_) {
      if (track.id.value != 0 || track.job->arrives > since_start()) continue;
      proto::JobSpec spec;
      spec.name = track.job->name;
      spec.batch = kBatch;
      const auto ids = jobs_.submit({std::move(spec)}, clock_.now());
      if (!ids) return fail(ids.error());
      track.id = ids->front();
      any = true;
    }
    return any;
  }

  void decide() {
    const auto round = rounds_.run(clock_.now(), Term(1), "timer");
    result_.decisions += round.changes.empty() ? 0 : 1;
    result_.rounds = rounds_.count();
    const auto granted = fleet_.granted();
    for (std::size_t i = 0; i < tracks_.size(); ++i) {
      Track& track = tracks_[i];
      const auto has = granted.find(track.id);
      const std::uint32_t slots = has == granted.end() ? 0 : has->second;
      if (slots > track.slots) {
        const std::uint32_t came = slots - track.slots;
        track.stall += came * options_.move_cost.seconds();
        result_.jobs[i].moves += came;
        rounds_.moved(track.id, options_.move_cost);
      }
      if (slots == 0) track.stall = 0;
      track.slots = slots;
    }
  }

  /// One tick of a job. True if it ended in it.
  bool advance(Track& track, JobResult& result) {
    if (track.id.value == 0 || track.ended) return false;
    const double tick = options_.tick.seconds(), began = now() - tick, arrived = track.job->arrives.seconds();
    const double n = track.slots, worth = n == 0 ? 0 : 1 / (1 + options_.kappa * (n - 1));
    const double busy = std::max(0.0, n * tick - track.stall);
    track.stall = std::max(0.0, track.stall - n * tick);
    const double rate = busy * worth / tick / track.job->slot_seconds_per_step;  // steps a second, spread over the tick
    const double from = track.step, to = std::min(track.job->steps, from + rate * tick);
    const double worked = rate > 0 ? (to - from) / rate : tick;
    if (from == 0 && to > 0) track.first_commit = began;
    track.step = to;
    track.slot_seconds += busy * (worked / tick);
    const auto passed = [&](std::optional<double>& mark, double fraction) {
      if (mark) return;
      const double goal = std::min(track.job->curve.steps_to_fraction(fraction), track.job->steps);
      if (to >= goal) mark = began + (rate > 0 ? (goal - from) / rate : 0) - arrived;
    };
    passed(result.to_50, 0.5);
    passed(result.to_75, 0.75);
    passed(result.to_90, 0.9);
    passed(result.to_95, 0.95);
    track.ended = to >= track.job->steps;
    result.loss_seconds += (track.ended ? worked : tick) * track.job->curve.normalized((from + to) / 2);
    result.slot_seconds = track.slot_seconds;
    report(track);
    if (!track.ended) return false;
    result.completed = began + worked - arrived;
    (void)jobs_.finish(track.id, "epochs reached", clock_.now());
    return true;
  }

  void report(Track& track) {
    while (track.early < kEarly.size() && track.step >= kEarly[track.early]) report_at(track, kEarly[track.early++]);
    const bool due = now() - track.last_report >= options_.report.seconds();
    if (due || track.ended) report_at(track, track.step);
  }

  void report_at(Track& track, double at) {
    const double whole = std::floor(at);
    if (whole <= track.reported) return;
    const double steps = whole - track.reported;
    const double loss = track.job->curve.mean(track.reported, whole) * (1 + options_.step_noise / std::sqrt(steps) * normal());
    proto::JobReport report;
    report.job = track.id;
    report.generation = 1;
    report.step = static_cast<std::uint64_t>(whole);
    report.examples = report.step * kBatch;
    report.examples_total = static_cast<std::uint64_t>(std::ceil(track.job->steps)) * kBatch;
    report.seconds = now() - track.first_commit;
    report.window_steps = static_cast<std::uint64_t>(steps);
    report.window_examples = report.window_steps * kBatch;
    report.loss_sum = loss * static_cast<double>(report.window_examples);
    report.loss_squares = loss * report.loss_sum;
    report.slot_seconds = track.slot_seconds * (track.step > 0 ? whole / track.step : 1);
    (void)jobs_.report(report, clock_.now());
    track.reported = whole;
    track.last_report = now();
  }

  double normal() { return std::sqrt(-2 * std::log(1 - rng_.uniform())) * std::cos(2 * std::numbers::pi * rng_.uniform()); }

  const SimOptions& options_;
  SimClock clock_;
  const Instant start_ = clock_.now();
  JobTable jobs_;
  Fleet fleet_;
  Rounds rounds_;
  SeededRng rng_;
  std::vector<Track> tracks_;
  SimResult result_;
  bool ended_ = false;
};

}  // namespace

Result<SimResult> simulate(const SimOptions& options, const std::vector<SimJob>& jobs) {
  const auto policies = manager::builtin_policies();
  const auto policy = policies.find(options.policy);
  if (!policy) return fail(policy.error());
  const auto predictors = manager::builtin_predictors();
  const auto predictor = predictors.find(options.predictor);
  if (!predictor) return fail(predictor.error());
  const bool times = options.tick.ns > 0 && options.round >= options.tick && options.report >= options.tick && options.move_cost.ns >= 0;
  if (options.slots == 0 || !times || options.kappa < 0)
    return fail(Errc::kBadConfig, "a simulation needs slots, a tick, and rounds and reports of a tick or more");
  for (const SimJob& job : jobs) {
    if (!(job.steps >= 1) || !(job.slot_seconds_per_step > 0)) return fail(Errc::kBadConfig, "job '" + job.name + "' has no steps, or steps that take no time");
  }
  return Simulation(options, jobs, (**policy)(), **predictor).run();
}

}  // namespace sluice::sim
