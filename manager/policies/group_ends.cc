#include "manager/policies/group_ends.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "manager/policies/share_rule.h"

namespace sluice::manager {
namespace {

constexpr double kMostLeft = 0.95;    ///< by past jobs, of a loss that has begun to fall
constexpr double kPastSurest = 0.01;  ///< of the range: past jobs tell nothing better
// How far a member ends from where it is foretold to by its standing beside another one: shares of three scales, which see.
constexpr double kOfGap = 0.5, kOfTheirFall = 0.25, kOfOwnFall = 0.1;

/// Of two that were told without each other.
End both(const End& a, const End& b) {
  const double x = 1 / (a.deviation * a.deviation), y = 1 / (b.deviation * b.deviation);
  return {(x * a.loss + y * b.loss) / (x + y), 1 / std::sqrt(x + y)};
}

/// Where a member ends by how steeply it falls now: a loss that is foretold to fall by d over as many steps again as it has done (or as far as its forecast
/// reaches) falls by g = d / ln 2 in the logarithm of its steps, and from step n to its end N, as a power −p of them, by (g / p) (1 − (n/N)^p): foretold with
/// the usual p, a half, and as unsure as if any p from 0 to 1 were as likely: (its fall at 0 less that at 1) / √12, beside what the forecast itself is off by.
/// The forecast's own word for the end is not taken: it is judged by what came soon after it, and many times as far ahead its deviation means little. Deviation
/// 0: nothing is foretold.
End by_slope(const JobView& job) {
  const double n = std::max(1.0, static_cast<double>(job.step)), left = n / steps_of(job);
  const ForecastKnot* ahead = nullptr;
  for (const ForecastKnot& knot : job.forecast)
    if (ahead == nullptr || knot.steps <= n) ahead = &knot;
  if (ahead == nullptr || !(ahead->steps > 0)) return {job.loss, 0};
  const double part = ahead->steps / n, folds = part < 1e-6 ? part : log_of(1 + part), slope = ahead->drop / folds, off = ahead->deviation / folds;
  const double usual = 2 * (1 - std::sqrt(left)), powers = (log_of(1 / left) - (1 - left)) / std::sqrt(12.0);
  return {job.level - slope * usual, std::sqrt(slope * powers * slope * powers + off * usual * off * usual)};
}

/// Where a member is foretold to end and how far off that may be: by how steeply it falls, and by what past jobs had left at its share of the steps; each
/// weighs the inverse of its variance. A forecast over a whole length allows for what no report shows; of a member of which little is left as a rule it alone
/// would promise more than there is to come. Of one that has not fallen at all nothing is expected.
End end_of(const JobView& job) {
  End own{job.declared ? job.end_loss : job.floor, end_deviation(job)};
  if (!(own.deviation > 0)) return own;  // as sure as that only a yardstick is
  if (const End foretold = by_slope(job); foretold.deviation > 0) own = foretold;
  const double left = std::clamp(job.prior_remaining, 0.0, kMostLeft), fallen = job.first_loss - job.loss;
  if (!(job.total_steps > 0) || !(job.prior_deviation > 0)) return own;
  if (!(fallen > 0)) return {job.loss, kPastSurest * std::abs(job.loss)};
  const double range = fallen / (1 - left);
  const End past{job.first_loss - range, std::max(job.prior_deviation, kPastSurest) * range / (1 - left)};
  return both(own, past);
}

double share_done(const JobView& job) { return std::min(1.0, static_cast<double>(job.step) / steps_of(job)); }

/// Where a member stood at a share of its steps: between its rungs, and from the last of them to now, on lines over the logarithm of the steps. Nothing is
/// known before the first one, where losses fall too fast for that, and of shares that it has not come to.
std::optional<double> stood_at(const JobView& job, double share) {
  double before = 0, loss_before = 0;
  for (std::size_t k = 0; k <= job.rungs.size() && !job.rungs.empty(); ++k) {
    const bool now = k == job.rungs.size();
    const double there = now ? share_done(job) : rung_step(job.declared ? job.total_steps : 0, k) / steps_of(job), loss = now ? job.loss : job.rungs[k];
    if (share == there) return loss;
    if (share < there) return k == 0 ? std::nullopt : std::optional(loss_before + (loss - loss_before) * log_of(share / before) / log_of(there / before));
    before = there, loss_before = loss;
  }
  return std::nullopt;
}

/// Where a member ends by how it stands beside another one, which is foretold to end at `theirs`, at an equal share f of their steps: of what lies between them
/// f^¼ stays to the end (measured: docs/manager.md; less where curves cross or cool down). It is off by parts of three scales:
/// of the gap, what of it need not stay; of what the other one still falls, for the two need not be alike; and of what its own slope says that it falls.
End beside(const JobView& job, const End& own, double other_then, double theirs) {
  const double stays = std::sqrt(std::sqrt(share_done(job))), gap = job.loss - other_then;
  const double off = kOfGap * (1 - stays) * std::abs(gap) + kOfTheirFall * std::abs(other_then - theirs) + kOfOwnFall * std::abs(job.level - own.loss);
  return {theirs + stays * gap, off + 1e-9 * std::abs(theirs) + 1e-12};
}

}  // namespace

double steps_of(const JobView& job) {
  const auto step = static_cast<double>(job.step);
  return job.total_steps > 0 ? std::max(job.total_steps, step + 1) : 2 * step + 2;
}

std::vector<End> ends_of(std::span<const JobView* const> members) {
  std::vector<End> ends;
  const JobView* furthest = nullptr;
  End its;
  for (const JobView* job : members) {
    ends.push_back(end_of(*job));
    if (!was_heard(*job) || !(job->total_steps > 0) || !(ends.back().deviation > 0)) continue;
    if (furthest == nullptr || share_done(*job) > share_done(*furthest)) furthest = job, its = ends.back();
  }
  if (furthest == nullptr) return ends;
  for (std::size_t k = 0; k < members.size(); ++k) {
    const JobView& job = *members[k];
    if (&job == furthest || !was_heard(job) || !(job.total_steps > 0) || !(ends[k].deviation > 0)) continue;
    if (const auto then = stood_at(*furthest, share_done(job))) ends[k] = both(ends[k], beside(job, ends[k], *then, its.loss));
  }
  return ends;
}

}  // namespace sluice::manager
