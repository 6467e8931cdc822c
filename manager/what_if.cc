#include "manager/what_if.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "manager/policies/claims.h"

namespace sluice::manager {
namespace {

constexpr std::array kWeights = {1.25, 1.5, 2.0, 4.0, 8.0, 32.0};
constexpr std::size_t kRivals = 3;
constexpr double kMoreShare = 1.05;  ///< of a share below one slot: less is no news

JobView* find_in(ClusterView& view, JobId job) {
  const auto it = std::find_if(view.jobs.begin(), view.jobs.end(), [job](const JobView& v) { return v.id == job; });
  return it == view.jobs.end() ? nullptr : &*it;
}

Standing ask(const Policy& policy, const ClusterView& view, JobId job) {
  const auto memo = policy.make_memo();
  const Decision decision = policy.decide(view, *memo);
  const auto d = std::find_if(decision.jobs.begin(), decision.jobs.end(), [job](const JobDecision& of) { return of.job == job; });
  return d == decision.jobs.end() ? Standing{} : Standing{d->slots, d->share};
}

bool more(const Standing& than, const Standing& is) { return is.slots > than.slots || (is.slots == than.slots && is.share > kMoreShare * than.share + 1e-6); }

std::string words(const Standing& s) {
  const std::string slots = fmt::format("{} slot{}", s.slots, s.slots == 1 ? "" : "s");
  return s.share > 0 ? fmt::format("{} (a share of {:.2f})", slots, s.share) : slots;
}

}  // namespace

Counterfactual what_would_change(const Policy& policy, const ClusterView& seen, JobId id, const std::vector<JobId>& rivals) {
  ClusterView view = seen;
  JobView* const job = find_in(view, id);
  if (job == nullptr) return {};
  for (JobView& v : view.jobs) v.quantum_since = Instant{view.now.ns - from_seconds(1e6).ns};  // what it would have once nobody may keep what he has
  Counterfactual out{ask(policy, view, id), {}};
  const auto add = [&](const char* what, const Standing& then, const std::string& sentence) {
    if (more(out.now, then)) out.changes.push_back({what, sentence, then});
  };
  const double weight = job->weight;
  for (const double factor : kWeights) {
    job->weight = factor * weight;
    const Standing then = ask(policy, view, id);
    add("weight", then, fmt::format("with weight {:.4g} instead of {:.4g} it would have {}", job->weight, weight, words(then)));
    if (!out.changes.empty()) break;
  }
  job->weight = weight;
  if (const std::uint32_t limit = job->slots_max; limit > 0 && out.now.slots >= limit) {
    job->slots_max = limit + 1;
    const Standing then = ask(policy, view, id);
    add("slots.max", then, fmt::format("with slots.max {} instead of {} it would have {}", limit + 1, limit, words(then)));
    job->slots_max = limit;
  }
  for (std::size_t i = 0; i < std::min(kRivals, rivals.size()); ++i) {
    ClusterView without = view;
    const JobView* rival = find_in(without, rivals[i]);
    if (rival == nullptr || rivals[i] == id) continue;
    const std::string name = rival->name;
    std::erase_if(without.jobs, [&](const JobView& v) { return v.id == rivals[i]; });
    const Standing then = ask(policy, without, id);
    add("job_ended", then, fmt::format("if job {} ended it would have {}", name, words(then)));
  }
  if (!view.hosts.empty()) {
    ++view.hosts.front().slots;
    const Standing then = ask(policy, view, id);
    add("one_more_slot", then, fmt::format("with one more worker slot in the cluster it would have {}", words(then)));
  }
  return out;
}

std::optional<double> next_slot_gain(const ClusterView& view, const JobView& job, std::uint32_t slots) {
  const double range = job.first_loss - job.floor, seconds = quantum_of(view, job).seconds();
  if (job.forecast.empty() || !(range > 0) || !(seconds > 0)) return std::nullopt;
  const auto steps = [&](std::uint32_t n) { return (job.speed_up.alone > 0 ? job.speed_up.progress(n) : job.steps_per_slot_second * n) * seconds; };
  return std::max(0.0, drop_after(job, steps(slots + 1)).drop - drop_after(job, steps(slots)).drop) / range / seconds;
}

std::optional<double> price_for_one_more(double price, double index, double share) {
  if (!(price > 0) || !(share > 0) || std::abs(share * share * price - index) > 0.01 * index) return std::nullopt;
  return index / ((share + 1) * (share + 1));
}

}  // namespace sluice::manager
