#include "manager/policies/root_shares.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

namespace sluice::manager {
namespace {

constexpr double kShareMillion = 1e6;
constexpr std::int64_t kOwedQuanta = 64;
constexpr std::size_t kSampled = 64;        ///< claims for each that is looked at to guess how much one must want
constexpr double kSlack = 1.25, kMore = 8;  ///< of the sample: a guess that is too narrow costs a second pass

/// As std::llround, without a call.
std::int64_t whole_near(double x) {
  const auto whole = static_cast<std::int64_t>(x);
  const double rest = x - static_cast<double>(whole);
  return whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
}

std::int64_t rounding_of(std::int64_t carried, double share, std::uint32_t slots) {
  const double error = static_cast<double>(carried) / kShareMillion + share - slots;
  return share >= 1 ? whole_near(std::clamp(error, -1.0, 1.0) * kShareMillion) : 0;
}

}  // namespace

void RootShares::resize(std::size_t claims) {
  for (auto* of : {&root, &wants_}) of->resize(claims);
  for (auto* of : {&min, &max, &full, &held, &slots}) of->resize(claims);
  for (auto* of : {&rounding, &deficit_ns, &quantum_ns, &next_rounding, &next_deficit_ns}) of->resize(claims);
  quantum_over.resize(claims);
}

double RootShares::share(std::size_t i) const { return std::clamp(level * root[i], static_cast<double>(min[i]), static_cast<double>(max[i])); }

std::int64_t RootShares::rounding_after(std::size_t i) const { return rounding_of(rounding[i], share(i), slots[i]); }

void RootShares::decide(std::uint32_t all, Duration elapsed, Duration round) {
  level = water_level(root, min, max, all).level;
  settle(static_cast<std::int64_t>(all) - round_claims(elapsed, round));
}

/// Whole slots, and what each then wants beyond them, with what is owed. Returns how many were given.
std::int64_t RootShares::round_claims(Duration elapsed, Duration round) {
  std::int64_t given = 0;
  const auto passed = static_cast<double>(elapsed.ns), turn = static_cast<double>(round.ns);
  const std::size_t count = size();
  for (std::size_t i = 0; i < count; ++i) {
    const double part = share(i), carried = static_cast<double>(rounding[i]) / kShareMillion, had = held[i];
    const std::int64_t bound = quantum_ns[i] * kOwedQuanta;
    const std::int64_t owed = std::clamp<std::int64_t>(deficit_ns[i] + whole_near((part - had) * passed), -bound, bound);
    std::uint32_t n = 0;
    if (part >= 1 && held[i] > 0 && std::abs(part + carried - had) <= std::max(0.99, 0.05 * had))
      n = std::clamp(held[i], min[i], max[i]);
    else if (part >= 1)
      n = std::clamp(static_cast<std::uint32_t>(std::max(0.0, part + carried)), std::max(min[i], std::min(1U, max[i])), max[i]);
    else
      n = std::max(min[i], quantum_over[i] == 0 && max[i] > 0 ? std::min(held[i], 1U) : 0U);
    slots[i] = n;
    next_deficit_ns[i] = owed;
    next_rounding[i] = rounding_of(rounding[i], part, n);
    wants_[i] = part >= 1 ? part + carried - n : static_cast<double>(owed) / turn - n;
    given += n;
  }
  return given;
}

/// So much those want at least (`give`), or at most, that will be picked, as a sample has it; a guess.
double RootShares::bound_of(bool give, std::size_t count) {
  sample_.clear();
  for (std::size_t i = 0; i < size(); i += kSampled)
    if (picks(give, i)) sample_.push_back(rank(give, i));
  const auto at = static_cast<std::ptrdiff_t>(kSlack * static_cast<double>(count / kSampled) + kMore);
  if (at >= std::ssize(sample_)) return std::numeric_limits<double>::infinity();
  std::nth_element(sample_.begin(), sample_.begin() + at, sample_.end());
  return sample_[static_cast<std::size_t>(at)];
}

/// Puts those first into wanting_ that want most (`give`), or least, of those that can have one more, or fewer: `count` of them, or all. Returns how many.
std::size_t RootShares::pick(bool give, std::size_t count) {
  const auto collect = [&](double most) {
    wanting_.clear();
    for (std::uint32_t i = 0; i < size(); ++i)
      if (rank(give, i) <= most && picks(give, i)) wanting_.emplace_back(rank(give, i), i);
  };
  const double bound = bound_of(give, count);
  collect(bound);
  if (wanting_.size() < count && std::isfinite(bound)) collect(std::numeric_limits<double>::infinity());
  if (count < wanting_.size()) std::nth_element(wanting_.begin(), wanting_.begin() + static_cast<std::ptrdiff_t>(count), wanting_.end());
  return std::min(count, wanting_.size());
}

/// One slot at a time to who lacks most, or from who has most too many; in turns, ties by place. Then to whoever can use them.
void RootShares::settle(std::int64_t left) {
  while (left != 0) {
    const bool give = left > 0;
    const std::size_t count = pick(give, static_cast<std::size_t>(std::abs(left)));
    if (count == 0) break;
    for (std::size_t w = 0; w < count; ++w) {
      const std::uint32_t i = wanting_[w].second;
      slots[i] += give ? 1U : ~0U;
      wants_[i] -= give ? 1 : -1;
      next_rounding[i] = rounding_after(i);
    }
    left -= give ? static_cast<std::int64_t>(count) : -static_cast<std::int64_t>(count);
  }
  for (std::size_t i = 0; i < size() && left > 0; ++i) {
    const auto more = static_cast<std::uint32_t>(std::min<std::int64_t>(left, full[i] - std::min(full[i], slots[i])));
    if (more == 0) continue;
    slots[i] += more, left -= more;
    next_rounding[i] = rounding_after(i);
  }
}

}  // namespace sluice::manager
