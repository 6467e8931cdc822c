#include "manager/policies/root_shares.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>

namespace sluice::manager {
namespace {

constexpr double kShareMillion = 1e6;
constexpr double kOwedQuanta = 64;
constexpr std::size_t kSampled = 64;        ///< claims for each that is looked at to guess how much one must want
constexpr double kSlack = 1.25, kMore = 8;  ///< of the sample: a guess that is too narrow costs a second pass

// By value: of references the compiler takes which one it is for a matter of control flow, and does one after the other.
/// Of slots, of which there are not 2³¹; of an unsigned number, processors make a double in several steps.
double number(std::uint32_t slots) { return static_cast<std::int32_t>(slots); }
/// Of nanoseconds since something, exact; what is longer ago than kLongAgo, thirteen days, counts as that. Doubles of 2⁵² and more count in ones: added to the
/// last bits of one, a whole number is a double without a conversion, which processors have for single ones only.
constexpr std::int64_t kLongAgo = std::int64_t{1} << 50;
double number(std::int64_t ns) { return std::bit_cast<double>((ns < kLongAgo ? ns : kLongAgo) + std::bit_cast<std::int64_t>(0x1.8p52)) - 0x1.8p52; }
double lesser(double a, double b) { return b < a ? b : a; }
double larger(double a, double b) { return a < b ? b : a; }
double held_between(double x, double least, double most) { return lesser(larger(x, least), most); }

/// As std::round, without a call.
double whole_near(double x) {
  const double whole = std::trunc(x), rest = x - whole;
  return whole + (rest >= 0.5 ? 1 : 0) - (rest <= -0.5 ? 1 : 0);
}

/// A quantum that is not running is over.
bool over(double had, std::int64_t ran, double quantum) { return (number(ran) >= quantum) | (had <= 0); }

/// `carried`, in slots, and `share` added up; `slots` were given.
double rounding_of(double with_carried, double share, double slots) {
  const double rounding = whole_near(held_between(with_carried - slots, -1, 1) * kShareMillion);
  return share >= 1 ? rounding : 0;
}

}  // namespace

void RootShares::resize(std::size_t claims) {
  for (auto* of : {&root, &wants_, &deficit_ns, &quantum_ns, &next_deficit_ns}) of->resize(claims);
  for (auto* of : {&min, &max, &full, &held, &slots}) of->resize(claims);
  for (auto* of : {&rounding, &next_rounding}) of->resize(claims);
  for (auto* of : {&since, &next_since}) of->resize(claims);
}

double RootShares::share(std::size_t i) const { return std::clamp(level * root[i], static_cast<double>(min[i]), static_cast<double>(max[i])); }

/// What is carried of a claim whose slots are others now.
void RootShares::change(std::size_t i, const Times& times) {
  next_rounding[i] = static_cast<float>(rounding_of(static_cast<double>(rounding[i]) / kShareMillion + share(i), share(i), slots[i]));
  next_since[i] = slots[i] > held[i] || over(number(held[i]), times.late() - since[i].ns, quantum_ns[i]) ? times.now : since[i];
}

void RootShares::decide(std::uint32_t all, const Times& times) {
  level = water_level(root, min, max, all).level;
  const std::int64_t given = round_claims(times);
  settle(static_cast<std::int64_t>(all) - given, times);
}

/// Whole slots, what each then wants beyond them, with what is owed, and what is carried. Returns how many were given. In one pass: each entry of a vector that
/// is passed is memory read once more. All that may come out is worked out for each and then chosen from, and put down here first, where nothing else is: so a
/// processor does several claims at once.
std::int64_t RootShares::round_claims(const Times& times) {
  constexpr std::size_t kBlock = 256;
  std::uint32_t given[kBlock];
  double owed[kBlock], wanted[kBlock];
  float rounded[kBlock];
  std::int64_t begins[kBlock];
  const auto passed = static_cast<double>(times.elapsed.ns), turn = static_cast<double>(times.round.ns), at = level;
  const std::int64_t late = times.late(), now = times.now.ns;
  std::int64_t sum = 0;
  for (std::size_t first = 0; first < size(); first += kBlock) {
    const std::size_t count = std::min(kBlock, size() - first);
    const std::uint32_t *const least_of = &min[first], *const most_of = &max[first], *const had_of = &held[first];
    const double *const root_of = &root[first], *const deficit_of = &deficit_ns[first];
    const double* const quantum_of = &quantum_ns[first];
    const float* const carried_of = &rounding[first];
    const Instant* const since_of = &since[first];
    for (std::size_t i = 0; i < count; ++i) {
      const double least = number(least_of[i]), most = number(most_of[i]), had = number(had_of[i]);
      const double part = held_between(at * root_of[i], least, most), with_carried = part + static_cast<double>(carried_of[i]) / kShareMillion;
      const double bound = quantum_of[i] * kOwedQuanta, deficit = held_between(deficit_of[i] + whole_near((part - had) * passed), -bound, bound);
      const bool whole = part >= 1, keeps = (had > 0) & (std::abs(with_carried - had) <= larger(0.99, 0.05 * had));
      const double fresh = held_between(std::trunc(larger(0.0, with_carried)), larger(least, lesser(1.0, most)), most);
      const bool ended = over(had, late - since_of[i].ns, quantum_of[i]);
      const double runs = ended | (most <= 0) ? 0.0 : 1.0, stays = keeps ? held_between(had, least, most) : fresh, n = whole ? stays : larger(least, runs);
      const double turns = deficit / turn;
      begins[i] = (n > had) | ended ? now : since_of[i].ns;
      given[i] = static_cast<std::uint32_t>(static_cast<std::int32_t>(n));
      owed[i] = deficit;
      rounded[i] = static_cast<float>(rounding_of(with_carried, part, n));
      wanted[i] = (whole ? with_carried : turns) - n;
    }
    for (std::size_t i = 0; i < count; ++i) sum += given[i];
    std::copy_n(given, count, &slots[first]);
    std::copy_n(owed, count, &next_deficit_ns[first]);
    std::copy_n(rounded, count, &next_rounding[first]);
    std::copy_n(wanted, count, &wants_[first]);
    std::copy_n(begins, count, &next_since[first].ns);
  }
  return sum;
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
    const double* const wants = wants_.data();
    const double sign = give ? -1 : 1;
    for (std::uint32_t i = 0, end = static_cast<std::uint32_t>(size()); i < end; ++i)
      if (sign * wants[i] <= most && picks(give, i)) wanting_.emplace_back(rank(give, i), i);
  };
  const double bound = bound_of(give, count);
  collect(bound);
  if (wanting_.size() < count && std::isfinite(bound)) collect(std::numeric_limits<double>::infinity());
  if (count < wanting_.size()) std::nth_element(wanting_.begin(), wanting_.begin() + static_cast<std::ptrdiff_t>(count), wanting_.end());
  return std::min(count, wanting_.size());
}

/// One slot at a time to who lacks most, or from who has most too many; in turns, ties by place. Then to whoever can use them.
void RootShares::settle(std::int64_t left, const Times& times) {
  while (left != 0) {
    const bool give = left > 0;
    const std::size_t count = pick(give, static_cast<std::size_t>(std::abs(left)));
    if (count == 0) break;
    for (std::size_t w = 0; w < count; ++w) {
      const std::uint32_t i = wanting_[w].second;
      slots[i] += give ? 1U : ~0U;
      wants_[i] -= give ? 1 : -1;
      change(i, times);
    }
    left -= give ? static_cast<std::int64_t>(count) : -static_cast<std::int64_t>(count);
  }
  for (std::size_t i = 0; i < size() && left > 0; ++i) {
    const auto more = static_cast<std::uint32_t>(std::min<std::int64_t>(left, full[i] - std::min(full[i], slots[i])));
    if (more == 0) continue;
    slots[i] += more, left -= more;
    change(i, times);
  }
}

}  // namespace sluice::manager
