/// What is decided from round to round is what is decided from the whole view, to the last bit.
#include "manager/policies/share_keeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "manager/policies/claims.h"
#include "manager/policies/root_shares.h"

namespace sluice::manager {
namespace {

/// Rounds over one view, in which any of what may happen to jobs happens to some.
class KeptRounds {
 public:
  explicit KeptRounds(std::uint64_t seed) : rng_(seed) {
    view_.now = Instant{100'000'000'000};
    view_.usual_kappa = 0.3;
    view_.usual_stay = from_ms(30'000);
    for (std::uint32_t w = 1; w <= 4; ++w) view_.hosts.push_back({.id = WorkerId{w}, .name = "w", .slots = 8, .capacity = {}, .owner = {}});
    for (int i = 0; i < 12; ++i) join();
  }
  ClusterView& view() { return view_; }
  [[nodiscard]] bool anew() const { return anew_; }
  std::span<const std::uint32_t> changed() const { return changed_; }

  void happen() {
    changed_.clear();
    view_.elapsed = from_ms(400 + static_cast<std::int64_t>(rng_.below(200)));
    view_.now = view_.now + view_.elapsed;
    anew_ = first_ || rng_.below(8) == 0;
    if (anew_ && !first_ && view_.jobs.size() > 3) view_.jobs.erase(view_.jobs.begin() + static_cast<std::ptrdiff_t>(rng_.below(view_.jobs.size())));
    first_ = false;
    for (std::uint32_t i = 0; i < view_.jobs.size(); ++i)
      if (rng_.below(4) == 0) change(i);
    for (std::uint64_t n = rng_.below(3); n > 0; --n) join();
  }

 private:
  void join() {
    JobView j;
    j.id = JobId{next_++};
    j.submitted = view_.now;
    view_.jobs.push_back(j);
    change(static_cast<std::uint32_t>(view_.jobs.size() - 1));
  }
  void change(std::uint32_t i) {
    JobView& j = view_.jobs[i];
    j.weight = 0.5 + rng_.uniform();
    j.slots_max = rng_.below(8) == 0 ? 0 : 1 + static_cast<std::uint32_t>(rng_.below(20));
    j.slots_min = rng_.below(6) == 0 ? 1 : 0;
    j.usable = rng_.below(5) == 0 ? 2 : 1000;
    j.reports += rng_.below(3);
    j.phase = j.reports < 2 ? JobPhase::kWarmingUp : static_cast<JobPhase>(1 + rng_.below(4));
    j.first_loss = 2, j.loss = j.level = 2 * rng_.uniform(), j.floor = 0.1;
    j.total_steps = 1000, j.prior_remaining = rng_.uniform();
    j.move_cost = from_ms(static_cast<std::int64_t>(rng_.below(60)));
    if (j.slots > 0 && rng_.below(5) == 0) --j.slots;  // a worker was lost
    changed_.push_back(i);
  }

  SeededRng rng_;
  ClusterView view_;
  std::vector<std::uint32_t> changed_;
  std::uint64_t next_ = 1;
  bool first_ = true, anew_ = true;
};

TEST(ShareKeeper, DecidesWhatThePolicyDoesFromTheWholeView) {
  const auto policy = make_share_rule("sluice", Hearing::kLoss);
  std::size_t quick = 0, moved = 0, parked = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    KeptRounds rounds(seed);
    const auto keeper = policy->make_incremental();
    bool in_view = true;
    for (int round = 0; round < 40; ++round) {
      SCOPED_TRACE(testing::Message() << seed << " " << round);
      ClusterView& view = rounds.view();
      ClusterView kept = view;  // what is carried is with the keeper: here it is rubbish
      if (!in_view)
        for (JobView& j : kept.jobs) j.rounding = 77, j.deficit_ns = -77;
      const std::size_t had = view.jobs.size();
      rounds.happen();
      const bool anew = in_view || rounds.anew();
      kept.now = view.now, kept.elapsed = view.elapsed;
      if (anew) kept = view;
      for (const std::uint32_t i : rounds.changed()) {
        const bool fresh = i >= had || i >= kept.jobs.size();
        if (i >= kept.jobs.size()) kept.jobs.resize(i + 1);
        const auto rounding = kept.jobs[i].rounding;
        kept.jobs[i] = view.jobs[i];
        if (!fresh && !anew) kept.jobs[i].rounding = rounding;
      }
      const Decision expected = policy->decide(view, *policy->make_memo());
      const Incremental::Answer* answer = keeper->decide(kept, slots_of(kept), rounds.changed(), anew);
      in_view = answer == nullptr;
      if (answer != nullptr) {
        ++quick;
        EXPECT_EQ(answer->price, expected.price);
        std::vector<Incremental::Change> changes;
        for (std::uint32_t i = 0; i < view.jobs.size(); ++i)
          if (expected.jobs[i].slots != view.jobs[i].slots) changes.push_back({i, expected.jobs[i].slots});
        ASSERT_EQ(answer->changes.size(), changes.size());
        for (std::size_t i = 0; i < changes.size(); ++i)
          EXPECT_TRUE(answer->changes[i].place == changes[i].place && answer->changes[i].slots == changes[i].slots);
        moved += changes.size();
        keeper->put_seen(kept);
        for (std::size_t i = 0; i < view.jobs.size(); ++i) EXPECT_EQ(kept.jobs[i].deficit_ns, view.jobs[i].deficit_ns);
        keeper->put(kept);
      }
      for (std::size_t i = 0; i < view.jobs.size(); ++i) {
        JobView& j = view.jobs[i];
        const JobDecision& d = expected.jobs[i];
        if (answer != nullptr) {
          EXPECT_EQ(kept.jobs[i].rounding, d.rounding);
          EXPECT_EQ(kept.jobs[i].deficit_ns, d.deficit_ns);
          EXPECT_EQ(kept.jobs[i].quantum_since, d.quantum_since);
        }
        parked += d.reason == Reason::kParked || d.reason == Reason::kSpare ? 1 : 0;
        j.slots = d.slots, j.rounding = d.rounding, j.deficit_ns = d.deficit_ns, j.quantum_since = d.quantum_since;
      }
    }
  }
  EXPECT_GT(quick, 1000U);
  EXPECT_GT(moved, 3000U);
  EXPECT_GT(parked, 300U);
}

/// Whoever gets the slots that rounding left over lacks most: the larger parts of a slot, ties by place. In the first case a sample misleads.
TEST(RootShares, TheSlotsLeftOverGoToWhoLacksMost) {
  for (const std::uint32_t all : {0U, 60U, 700U, 12'000U}) {
    SCOPED_TRACE(all);
    SeededRng rng(all);
    constexpr std::size_t kClaims = 6'000;
    const RootShares::Times times{Instant{from_ms(500).ns}, from_ms(500), from_ms(500)};
    RootShares shares;
    shares.resize(kClaims);
    for (std::size_t i = 0; i < kClaims; ++i) {
      shares.root[i] = 1 + 0.25 * static_cast<double>(rng.below(100'000)) / 1e4 * (i % 3 == 0 ? 0 : 1);  // a third are alike
      shares.max[i] = shares.full[i] = 100, shares.quantum_ns[i] = static_cast<double>(from_ms(500).ns);
    }
    shares.decide(6 * kClaims + all, times);
    if (all == 0) {
      // Those that lack most to where a sample is taken.
      std::vector<std::pair<double, double>> by_lack;
      for (std::size_t i = 0; i < kClaims; ++i) by_lack.emplace_back(std::floor(shares.share(i)) - shares.share(i), shares.root[i]);
      std::sort(by_lack.begin(), by_lack.end());
      std::size_t next = 0;
      for (std::size_t offset = 0; offset < 64; ++offset)
        for (std::size_t i = offset; i < kClaims; i += 64) shares.root[i] = by_lack[next++].second;
      shares.decide(6 * kClaims + all, times);
    }
    std::uint64_t given = 0;
    std::pair<double, std::int64_t> least_with{2, 0}, most_without{-1, 0};
    for (std::size_t i = 0; i < kClaims; ++i) {
      const double whole = std::floor(shares.share(i));
      const std::pair<double, std::int64_t> lacks(shares.share(i) - whole, -static_cast<std::int64_t>(i));
      given += shares.slots[i];
      const bool more = shares.slots[i] > whole;
      EXPECT_EQ(shares.slots[i], whole + (more ? 1 : 0));
      if (more)
        least_with = std::min(least_with, lacks);
      else
        most_without = std::max(most_without, lacks);
    }
    EXPECT_EQ(given, 6 * kClaims + all);
    EXPECT_GT(least_with, most_without);
  }
}

/// Doubles, several claims at once and several threads: what is owed and what is carried are the whole numbers that integers give.
TEST(RootShares, WhatIsCarriedIsWhole) {
  SeededRng rng(7);
  constexpr std::size_t kClaims = 40'000;
  constexpr std::uint32_t kSlots = 60'000;
  const Duration elapsed = from_ms(497), round = from_ms(500);
  const Instant now{std::int64_t{1} << 53};  // after months
  RootShares shares;
  shares.resize(kClaims);
  for (std::size_t i = 0; i < kClaims; ++i) {
    shares.root[i] = 0.01 + rng.uniform();
    shares.max[i] = shares.full[i] = static_cast<std::uint32_t>(rng.below(6)), shares.min[i] = std::min(shares.max[i], rng.below(9) == 0 ? 1U : 0U);
    shares.held[i] = static_cast<std::uint32_t>(rng.below(5));
    shares.quantum_ns[i] = static_cast<double>(from_ms(500 + static_cast<std::int64_t>(rng.below(2000))).ns);
    shares.since[i] = rng.below(4) == 0 ? Instant{} : Instant{now.ns - from_ms(static_cast<std::int64_t>(rng.below(3000))).ns};
    shares.rounding[i] = static_cast<float>(rng.below(2'000'001)) - 1e6F;
    shares.deficit_ns[i] = std::floor((rng.uniform() - 0.5) * 2e11);
  }
  shares.decide(kSlots, {now, elapsed, round});
  std::uint64_t given = 0;
  std::size_t bounded = 0, turns = 0, goes_on = 0;
  for (std::size_t i = 0; i < kClaims; ++i) {
    given += shares.slots[i];
    EXPECT_GE(shares.slots[i], shares.min[i]);
    EXPECT_LE(shares.slots[i], shares.max[i]);
    const double share = shares.share(i);
    const auto bound = 64 * static_cast<std::int64_t>(shares.quantum_ns[i]);
    const std::int64_t owed = static_cast<std::int64_t>(shares.deficit_ns[i]) + std::llround((share - shares.held[i]) * static_cast<double>(elapsed.ns));
    EXPECT_EQ(shares.next_deficit_ns[i], static_cast<double>(std::clamp(owed, -bound, bound)));
    const double error = std::clamp(static_cast<double>(shares.rounding[i]) / 1e6 + share - shares.slots[i], -1.0, 1.0);
    EXPECT_EQ(shares.next_rounding[i], share >= 1 ? static_cast<float>(std::llround(error * 1e6)) : 0.0F);
    const bool over = shares.held[i] == 0 || now.ns - shares.since[i].ns + round.ns / 10 >= static_cast<std::int64_t>(shares.quantum_ns[i]);
    const bool begins = over || shares.slots[i] > shares.held[i];
    EXPECT_EQ(shares.next_since[i], begins ? now : shares.since[i]);
    if (!over && share < 1 && shares.max[i] > 0) { EXPECT_GE(shares.slots[i], 1U); }  // it keeps a slot until its quantum ends
    bounded += std::abs(owed) > bound ? 1 : 0, turns += share < 1 ? 1 : 0, goes_on += begins ? 0 : 1;
  }
  EXPECT_EQ(given, kSlots);
  EXPECT_GT(bounded, 100U);
  EXPECT_GT(turns, 1000U);
  EXPECT_GT(goes_on, 1000U);
}

TEST(ShareKeeper, LeavesOtherRulesToThePolicy) {
  const auto policy = make_share_rule("sluice", Hearing::kLoss);
  const auto answers = [&](const auto& but) {
    KeptRounds rounds(3);
    rounds.happen();
    but(rounds.view());
    return policy->make_incremental()->decide(rounds.view(), slots_of(rounds.view()), {}, true) != nullptr;
  };
  EXPECT_TRUE(answers([](ClusterView&) {}));
  EXPECT_FALSE(answers([](ClusterView& v) {
    v.usual_kappa = 0;
    for (JobView& j : v.jobs) j.move_cost = {};
  }));
  EXPECT_FALSE(answers([](ClusterView& v) { v.fairness.strict = true; }));
  EXPECT_FALSE(answers([](ClusterView& v) { v.hosts.clear(); }));
  EXPECT_FALSE(answers([](ClusterView& v) { v.jobs[0].group = "g", v.jobs[0].best = true, v.jobs[0].slots_max = 3; }));
  EXPECT_EQ(make_share_rule("las", Hearing::kAttained)->make_incremental(), nullptr);
}

}  // namespace
}  // namespace sluice::manager
