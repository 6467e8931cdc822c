/// Why each job has what it has, as JSON (docs/calls.md).
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "manager/detail/core.h"
#include "manager/detail/json_number.h"
#include "manager/what_if.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr std::size_t kHolders = 5;

/// Steps a second with the slots it has, with one more, and why.
json speed_up_of(const Job& job) {
  const SpeedUp s = job.rates.speed_up();
  const auto at = [&](std::uint32_t slots) { return json{{"slots", slots}, {"steps_per_s", s.rate(slots)}, {"efficiency", s.efficiency(slots)}}; };
  return {{"now", at(job.slots)},
          {"next", at(job.slots + 1)},
          {"alone_steps_per_s", s.alone},
          {"kappa", s.kappa},
          {"kappa_measured", job.rates.kappa_measured()},
          {"spread", job.rates.spread()},
          {"staleness", job.staleness},
          {"staleness_per_slot", s.staleness_per_slot},
          {"staleness_penalty", s.penalty},
          {"left_out", job.rates.left_out()}};
}

/// How much of its loss is left, by its own reports and by what past jobs of its model were like.
json remaining_of(const Job& job, const RemainingPrior& prior) {
  const double total = job.expected_steps(prior), step = static_cast<double>(job.step);
  const auto past = prior.remaining(job.spec.model, total > 0 ? step / total : 0);
  return {{"fitted", job.normalized_loss()}, {"past_jobs", past.mean}, {"past_deviation", past.deviation},
          {"jobs_of_model", past.jobs},      {"total_steps", total},   {"declared", job.declared_steps() > 0}};
}

json now_of(const Job& job, const JobDecision& d) {
  return {{"reason", name_of(job.state == JobState::kCancelled ? Reason::kCancelled
                             : job.ended()                     ? Reason::kEnded
                                                               : d.reason)},
          {"sentence", job.ended() ? job.reason : d.sentence},
          {"share", d.share},
          {"drop_with", d.drop_with},
          {"deviation", d.deviation},
          {"index", d.index},
          {"marginal_gain", d.marginal_gain}};
}

/// Who holds what `wanting` lacks: live jobs with slots, those first that are ranked above it, then by what they hold beyond their share.
std::vector<const Job*> holders_of(const JobTable& jobs, const Rounds& rounds, const Job& wanting) {
  std::vector<const Job*> out;
  for (const JobId id : jobs.live())
    if (const Job* job = jobs.find(id); job != &wanting && job->slots > 0) out.push_back(job);
  const auto rank = [&](const Job* job) {
    const JobDecision& d = rounds.decision_of(job->id);
    return std::tuple(!(d.index > rounds.decision_of(wanting.id).index), -(job->slots - d.share), job->id);
  };
  const std::size_t shown = std::min(kHolders, out.size());
  std::partial_sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(shown), out.end(), [&](const Job* a, const Job* b) { return rank(a) < rank(b); });
  out.resize(shown);
  return out;
}

}  // namespace

/// What its next slot would be worth, who holds it, and what would change that. REQUIRES: a live job that the last round saw.
json Core::lacks(const Job& job) const {
  const ClusterView& view = rounds_.view();
  const auto seen = std::find_if(view.jobs.begin(), view.jobs.end(), [&](const JobView& v) { return v.id == job.id; });
  const JobDecision& d = rounds_.decision_of(job.id);
  json holders = json::array(), changes = json::array();
  std::vector<JobId> rivals;
  for (const Job* other : holders_of(jobs_, rounds_, job)) {
    rivals.push_back(other->id);
    const JobDecision& o = rounds_.decision_of(other->id);
    holders.push_back({{"job", other->spec.name},
                       {"slots", other->slots},
                       {"share", o.share},
                       {"index", o.index},
                       {"marginal_gain", o.marginal_gain},
                       {"reason", name_of(o.reason)},
                       {"sentence", o.sentence}});
  }
  const Counterfactual would = what_would_change(rounds_.policy(), view, job.id, rivals);
  if (const auto price = price_for_one_more(rounds_.price(), d.index, d.share))
    changes.push_back({{"what", "price"},
                       {"sentence", fmt::format("at a price below {:.3g} (it is {:.3g}) its share would be one slot more", *price, rounds_.price())},
                       {"slots", job.slots + 1},
                       {"share", d.share + 1}});
  for (const WhatIf& w : would.changes)
    changes.push_back({{"what", w.what}, {"sentence", w.sentence}, {"slots", w.standing.slots}, {"share", w.standing.share}});
  return {{"next_slot", {{"gain_per_s", number_or_null(next_slot_gain(view, *seen, job.slots))}, {"index", d.index}, {"price", rounds_.price()}}},
          {"holders", std::move(holders)},
          {"would_have", {{"slots", would.now.slots}, {"share", would.now.share}}},
          {"would_change", std::move(changes)}};
}

json Core::explained(const Job& job, bool alone) const {
  json decisions = json::array(), moves = json::array(), asked = json::array();
  for (const json& entry : log_.entries(job.spec.name)) {
    const std::string kind = entry.value("kind", "");
    (kind == "moved" ? moves : kind == "asked" ? asked : decisions).push_back(entry);
  }
  json out = head_of(job);
  out.update(json{{"objective", job.spec.objective == proto::Objective::kBest ? "best" : "each"},
                  {"now", now_of(job, rounds_.decision_of(job.id))},
                  {"speed_up", speed_up_of(job)},
                  {"remaining", remaining_of(job, jobs_.prior())},
                  {"outcome", log_.outcome(job.spec.name)},
                  {"decisions", std::move(decisions)},
                  {"asked", std::move(asked)},
                  {"moves", std::move(moves)}});
  const auto& seen = rounds_.view().jobs;
  const bool decided = std::any_of(seen.begin(), seen.end(), [&](const JobView& v) { return v.id == job.id; });
  if (alone && decided && !job.ended() && !job.paused()) out.update(lacks(job));
  return out;
}

Result<json> Core::explain(const std::string& wanted) const {
  json jobs = json::array();
  if (!wanted.empty()) {
    const Job* job = jobs_.find(wanted);
    if (job == nullptr) {
      std::vector<std::string> names;
      for (const auto& [id, known] : jobs_.all()) names.push_back(known.spec.name);
      return fail(Errc::kNotFound, text::unknown_name("job", wanted, names));
    }
    jobs.push_back(explained(*job, true));
  } else {
    for (const auto& [id, job] : jobs_.all()) jobs.push_back(explained(job, false));
  }
  json out = {{"version", 1}, {"policy", rounds_.policy().name()}, {"price", rounds_.price()}, {"jobs", std::move(jobs)}};
  if (wanted.empty()) out["prior"] = jobs_.prior().to_json();
  return out;
}

json Core::prior() const { return {{"version", 1}, {"policy", rounds_.policy().name()}, {"jobs", json::array()}, {"prior", jobs_.prior().to_json()}}; }

}  // namespace sluice::manager
