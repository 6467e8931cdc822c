#include "sim/oracles.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "manager/policies/claims.h"
#include "manager/policies/in_order.h"
#include "manager/policies/share_rule.h"
#include "manager/policies/slaq.h"

namespace sluice::sim {
namespace {

using manager::ClusterView;
using manager::Decision;
using manager::JobView;

/// What is true of a job instead of what is believed of it.
void put_truth(const SimJob& job, double step, double place, const SimOptions& options, const ClusterView& cluster, JobView& view) {
  const double alone = 1 / job.slot_seconds_per_step, quantum = quantum_of(cluster, view).seconds();
  view.reports = std::max<std::uint64_t>(view.reports, 1000);
  view.phase = manager::JobPhase::kTraining;
  view.loss = view.level = job.curve.at(place);
  view.first_loss = job.curve.first();
  view.floor = job.curve.best();
  view.normalized_loss = job.curve.normalized(place);
  view.steps_per_slot_second = view.slots > 0 ? alone * options.speedup.at(view.slots) / view.slots : alone;
  view.speed_up = {};
  view.speed_up.alone = alone;
  view.speed_up.staleness_per_slot = job.staleness;
  view.speed_up.penalty = job.penalty;
  view.speed_up.kappa = true_kappa(options);
  view.step = static_cast<std::uint64_t>(step);
  view.total_steps = job.steps;
  view.declared = true;
  view.end_loss = job.curve.best();
  view.end_deviation = 0;
  view.prior_remaining = view.normalized_loss;
  view.prior_slope = 0;
  view.forecast.clear();
  double drop = 0;
  for (double n = 0.5; view.forecast.size() < 16 && (view.forecast.empty() || n < 2.0 * options.slots); n *= 2) {
    const double steps = n * view.steps_per_slot_second * quantum;
    drop = std::max(drop, view.loss - job.curve.at(std::min(job.steps, place + steps)));
    view.forecast.push_back({steps, drop, 0});
  }
}

class Oracle final : public manager::Policy {
 public:
  Oracle(std::string name, std::unique_ptr<manager::Policy> rule, const Truth& truth) : name_(std::move(name)), rule_(std::move(rule)), truth_(truth) {}
  std::string_view name() const override { return name_; }
  std::uint32_t version() const override { return rule_->version(); }
  Decision decide(const ClusterView& view, manager::Memo& memo) const override {
    ClusterView true_view = view;
    true_view.usual_kappa = true_kappa(truth_.options());
    for (JobView& job : true_view.jobs)
      if (const SimJob* known = truth_.job(job.id)) put_truth(*known, truth_.step(job.id), truth_.place(job.id), truth_.options(), view, job);
    return rule_->decide(true_view, memo);
  }
  std::uint32_t moves_max(const ClusterView& view) const override { return rule_->moves_max(view); }
  std::unique_ptr<manager::Memo> make_memo() const override { return rule_->make_memo(); }

 private:
  std::string name_;
  std::unique_ptr<manager::Policy> rule_;
  const Truth& truth_;
};

/// Normalised loss that a slot-second brings on the best stretch ahead.
double best_slope(const SimJob& job, double place) {
  const double now = job.curve.normalized(place);
  double best = 0;
  for (const double at : job.curve.points())
    if (at > place) best = std::max(best, (now - job.curve.normalized(at)) / ((at - place) * job.slot_seconds_per_step));
  return best;
}

/// Jobs one after the other, by an index that their true curves tell.
class InTrueOrder : public manager::Policy {
 public:
  InTrueOrder(std::string_view name, const Truth& truth) : name_(name), truth_(truth) {}
  std::string_view name() const override { return name_; }
  std::uint32_t version() const override { return 1; }
  std::uint32_t moves_max(const ClusterView& view) const override { return slots_of(view); }
  Decision decide(const ClusterView& view, manager::Memo&) const override {
    std::vector<manager::Claim> claims = manager::claims_of(view);
    for (manager::Claim& c : claims) c.base = c.min;
    const std::vector<Rank> ranks = order(claims);
    std::vector<double> index;
    for (const Rank& rank : ranks) index.push_back(rank.index);
    Decision out;
    out.price = manager::serve_in_order(view, claims, index, {});
    for (std::size_t i = 0; i < claims.size(); ++i) {
      manager::JobDecision& d = out.jobs.emplace_back(manager::decided(view, claims[i]));
      d.index = index[i];
      if (d.sentence.empty()) d.reason = manager::Reason::kLargestDrop, d.sentence = ranks[i].why;
    }
    return out;
  }

 protected:
  struct Rank {
    double index = 0;
    const char* why = "by the best average slope of its true curve";
  };
  /// One a claim; may change what a claim may have.
  virtual std::vector<Rank> order(std::vector<manager::Claim>& claims) const = 0;
  [[nodiscard]] const Truth& truth() const { return truth_; }
  /// By its own true curve.
  [[nodiscard]] Rank alone(const manager::Claim& claim) const {
    const SimJob* job = truth_.job(claim.job->id);
    return {job == nullptr ? 0 : claim.job->weight * best_slope(*job, truth_.place(claim.job->id))};
  }

 private:
  std::string_view name_;
  const Truth& truth_;
};

class OracleCurve final : public InTrueOrder {
 public:
  explicit OracleCurve(const Truth& truth) : InTrueOrder("oracle-curve", truth) {}

 private:
  std::vector<Rank> order(std::vector<manager::Claim>& claims) const override {
    std::vector<Rank> out;
    for (const manager::Claim& c : claims) out.push_back(alone(c));
    return out;
  }
};

/// The true curves of a group's members.
struct Member {
  std::size_t claim = 0;
  const SimJob* job = nullptr;
  double place = 0, last = 0;  ///< along its curve: now; after the steps that it has left, fresh
};

/// How low it comes from where it is, and where that is first so.
std::pair<double, double> lowest(const Member& m) {
  std::pair<double, double> out{m.job->curve.at(m.last), m.last};
  for (const double at : m.job->curve.points())
    if (at > m.place && at < m.last && m.job->curve.at(at) <= out.first) {
      const bool sooner = m.job->curve.at(at) < out.first || at < out.second;
      if (sooner) out = {m.job->curve.at(at), at};
    }
  return out;
}

class OracleWinner final : public InTrueOrder {
 public:
  explicit OracleWinner(const Truth& truth) : InTrueOrder("oracle-winner", truth) {}

 private:
  static constexpr double kAfterWinners = 1e-9;  ///< of an index: whatever a member brings sooner, the winner comes first

  std::vector<Rank> order(std::vector<manager::Claim>& claims) const override {
    std::vector<Rank> out;
    std::map<std::string, std::vector<Member>> groups;
    for (std::size_t i = 0; i < claims.size(); ++i) {
      const JobId id = claims[i].job->id;
      const SimJob* job = truth().job(id);
      const bool member = job != nullptr && job->best && !job->group.empty();
      out.push_back(member ? Rank{} : alone(claims[i]));
      if (member) groups[job->group].push_back({i, job, truth().place(id), truth().place(id) + std::max(0.0, job->steps - truth().step(id))});
    }
    for (const auto& [name, members] : groups) {
      const Member& winner = order(truth().group_best(name), members, claims, out);
      manager::Claim& best = claims[winner.claim];
      if (winner.job->staleness > 0) best.max = best.full = std::clamp(1U, best.min, best.max);
    }
    return out;
  }

  /// Fills in the members' ranks. Returns the winner.
  static const Member& order(double best, const std::vector<Member>& members, std::span<const manager::Claim> claims, std::vector<Rank>& out) {
    const Member* winner = nullptr;
    std::pair<double, double> low;
    double first = best;
    for (const Member& m : members) {
      auto [loss, at] = lowest(m);
      at = (at - m.place) * m.job->slot_seconds_per_step;
      first = std::max(first, m.job->curve.first());
      if (winner == nullptr || std::pair(loss, at) < low) winner = &m, low = {loss, at};
    }
    const double range = first - std::min(best, low.first);
    for (const Member& m : members) {
      double slope = 0;
      for (const double at : m.job->curve.points())
        if (at > m.place && at <= m.last && range > 0)
          slope = std::max(slope, (best - m.job->curve.at(at)) / range / ((at - m.place) * m.job->slot_seconds_per_step));
      out[m.claim].index = claims[m.claim].job->weight * slope * (&m == winner ? 1 : kAfterWinners);
    }
    out[winner->claim].why = "of its group it comes lowest";
    return *winner;
  }
};

}  // namespace

bool is_oracle(std::string_view policy) { return std::find(kOracles.begin(), kOracles.end(), policy) != kOracles.end(); }

double true_kappa(const SimOptions& options) {
  return options.slots > 1 ? std::max(0.0, (options.slots / options.speedup.at(options.slots) - 1) / (options.slots - 1)) : 0;
}

std::unique_ptr<manager::Policy> make_policy(const std::string& name, const Truth& truth) {
  if (!is_oracle(name)) return (**manager::builtin_policies().find(name))();
  if (name == "oracle-curve") return std::make_unique<OracleCurve>(truth);
  if (name == "oracle-winner") return std::make_unique<OracleWinner>(truth);
  auto rule = name == "oracle-next" ? manager::make_slaq_policy() : manager::make_share_rule("sluice", manager::Hearing::kLoss);
  return std::make_unique<Oracle>(name, std::move(rule), truth);
}

}  // namespace sluice::sim
