#include "manager/remaining_prior.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "manager/quality.h"

namespace sluice::manager {
namespace {

using nlohmann::json;

constexpr int kVersion = 2;  ///< of the record; what 1 learnt of jobs with more than 256 reports was wrong
constexpr std::size_t kToldMax = 512;
constexpr double kUnknownDeviation = 0.3;  ///< where nothing was learnt of anything

/// The losses made never to rise, each report weighing what it has examples: least squares under that constraint, by pooling neighbours that violate it
/// (Ayer, Brunk, Ewing, Reid, Silverman 1955). Unlike a running mean it does not lag behind.
std::vector<double> never_rising(std::span<const LossPoint> points) {
  struct Pool {
    double sum = 0, weight = 0;
    std::size_t points = 0;
    [[nodiscard]] double mean() const { return sum / weight; }
  };
  std::vector<Pool> pools;
  for (const LossPoint& p : points) {
    const double weight = std::max(1.0, static_cast<double>(p.weight));
    pools.push_back({weight * p.loss, weight, 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean() <= pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back().sum += last.sum, pools.back().weight += last.weight, pools.back().points += last.points;
    }
  }
  std::vector<double> out;
  out.reserve(points.size());
  for (const Pool& pool : pools) out.insert(out.end(), pool.points, pool.mean());
  return out;
}

/// Remaining normalised loss at each share of the steps: of the losses made never to rise, each standing for the middle of its report's steps; empty for a
/// curve that never fell. The best is the mean of the newest tenth at most, as a floor that a single lucky report can't lower, and not below those losses: of
/// thousands of reports some ten in a row are lucky too.
std::vector<double> remaining_of(std::span<const LossPoint> points, double total_steps, std::size_t shares) {
  const std::vector<double> levels = never_rising(points);
  const double first = points.front().loss, best = std::max(levels.back(), std::min(best_level(points), final_level(points)));
  if (!(first > best) || !std::isfinite(first - best)) return {};
  const auto middle = [&](std::size_t i) {
    const double since = i == 0 ? 0 : static_cast<double>(points[i - 1].step);
    return 0.5 * (since + static_cast<double>(points[i].step));
  };
  const auto left_at = [&](std::size_t i) { return std::clamp((levels[i] - best) / (first - best), 0.0, 1.0); };
  std::vector<double> left(shares + 1, 1);
  std::size_t next = 0;
  double q = 1, step = 0;
  for (std::size_t i = 0; i <= shares; ++i) {
    const double at = total_steps * static_cast<double>(i) / static_cast<double>(shares);
    while (next < points.size() && middle(next) <= at) q = std::min(q, left_at(next)), step = middle(next++);
    left[i] = q;
    if (next == points.size() || at <= step) continue;
    left[i] = std::min(q, q + (left_at(next) - q) * (at - step) / (middle(next) - step));  // straight on to the next report
  }
  return left;
}

}  // namespace

bool RemainingPrior::learn(const std::string& family, std::span<const LossPoint> points, double total_steps) {
  if (points.size() < kPointsMin || !(total_steps >= 1) || !std::isfinite(total_steps)) return false;
  const std::vector<double> left = remaining_of(points, total_steps, kShares);
  if (left.empty() || (families_.size() >= kFamiliesMax && !families_.contains(family))) return false;
  told_.clear();
  Family& f = families_[family];
  f.sum.resize(kShares + 1);
  f.squares.resize(kShares + 1);
  f.jobs += 1;
  for (std::size_t i = 0; i <= kShares; ++i) f.sum[i] += left[i], f.squares[i] += left[i] * left[i];
  if (f.totals.size() == kTotalsMax) f.totals.erase(f.totals.begin());
  f.totals.push_back(total_steps);
  return true;
}

const RemainingPrior::Told& RemainingPrior::told(const std::string& family) const {
  if (const auto known = told_.find(family); known != told_.end()) return known->second;
  if (told_.size() >= kToldMax) told_.clear();
  Told& t = told_[family];
  t.sum.resize(kShares + 1), t.squares.resize(kShares + 1), t.steepest.resize(kShares + 1);
  double others = 0;
  for (const auto& [name, f] : families_) others += name != family ? 1 : 0;
  // A family weighs as much as one job in the mean over all: a sweep of a hundred members is one experience.
  for (const auto& [name, f] : families_) {
    const double scale = name == family ? 1 : kPoolWeight / others / f.jobs;
    t.jobs += name == family ? f.jobs : kPoolWeight / others;
    if (name == family) t.own = f.jobs;
    for (std::size_t i = 0; i <= kShares; ++i) t.sum[i] += scale * f.sum[i], t.squares[i] += scale * f.squares[i];
  }
  if (families_.empty()) {
    t.jobs = 1;
    for (std::size_t i = 0; i <= kShares; ++i) {
      t.sum[i] = 1 - static_cast<double>(i) / static_cast<double>(kShares);
      t.squares[i] = t.sum[i] * t.sum[i] + kUnknownDeviation * kUnknownDeviation;
    }
  }
  for (std::size_t i = 0; i < kShares; ++i)
    for (std::size_t j = i + 1; j <= kShares; ++j)
      t.steepest[i] = std::max(t.steepest[i], (t.sum[i] - t.sum[j]) / t.jobs * static_cast<double>(kShares) / static_cast<double>(j - i));
  return t;
}

RemainingPrior::Value RemainingPrior::remaining(const std::string& family, double share) const {
  const Told& t = told(family);
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(kShares);
  const auto low = std::min(static_cast<std::size_t>(at), kShares - 1);
  const double part = at - static_cast<double>(low);
  const auto mix = [&](const std::vector<double>& of) { return of[low] + part * (of[low + 1] - of[low]); };
  const double mean = mix(t.sum) / t.jobs;
  return {mean, std::sqrt(std::max(0.0, mix(t.squares) / t.jobs - mean * mean)), t.own};
}

double RemainingPrior::steepest(const std::string& family, double share) const {
  const Told& t = told(family);
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(kShares);
  return t.steepest[std::min(static_cast<std::size_t>(at), kShares - 1)];
}

RemainingPrior::Length RemainingPrior::total_steps(const std::string& family, double step) const {
  std::vector<double> longer;
  if (const auto own = families_.find(family); own != families_.end())
    std::copy_if(own->second.totals.begin(), own->second.totals.end(), std::back_inserter(longer), [&](double t) { return t > step; });
  if (longer.empty()) return {2 * step, 0};
  const auto middle = longer.begin() + static_cast<std::ptrdiff_t>((longer.size() - 1) / 2);
  std::nth_element(longer.begin(), middle, longer.end());
  return {*middle, static_cast<double>(longer.size())};
}

json RemainingPrior::to_json() const {
  json families = json::object();
  for (const auto& [name, f] : families_) families[name] = {{"jobs", f.jobs}, {"sum", f.sum}, {"squares", f.squares}, {"steps", f.totals}};
  return {{"version", kVersion}, {"shares", kShares}, {"families", std::move(families)}};
}

bool RemainingPrior::of_older_build(const json& record) { return record.is_object() && record.contains("version") && record["version"] == 1; }

Result<RemainingPrior> RemainingPrior::from_json(const json& record) {
  const auto bad = [](std::string_view why) { return fail(Errc::kIo, fmt::format("what past jobs taught is not readable: {}", why)); };
  try {
    if (record.at("version") != kVersion || record.at("shares") != kShares) return bad("another version");
    RemainingPrior out;
    for (const auto& [name, value] : record.at("families").items()) {
      Family f{value.at("jobs"), value.at("sum"), value.at("squares"), value.at("steps")};
      const auto sane = [&](double x) { return std::isfinite(x) && x >= 0 && x <= f.jobs * (1 + 1e-9); };
      if (!(f.jobs > 0) || !std::isfinite(f.jobs) || f.sum.size() != kShares + 1 || f.squares.size() != kShares + 1 || f.totals.size() > kTotalsMax ||
          !std::all_of(f.sum.begin(), f.sum.end(), sane) || !std::all_of(f.squares.begin(), f.squares.end(), sane) ||
          !std::all_of(f.totals.begin(), f.totals.end(), [](double t) { return std::isfinite(t) && t >= 1; }) || out.families_.size() >= kFamiliesMax)
        return bad(fmt::format("family '{}'", name));
      out.families_.emplace(name, std::move(f));
    }
    return out;
  } catch (const json::exception& e) { return bad(e.what()); }
}

}  // namespace sluice::manager
