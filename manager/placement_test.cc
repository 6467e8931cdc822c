#include "manager/placement.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/rng.h"

namespace sluice::manager {
namespace {

/// What place() promises, as it is said: a slot at a time.
std::vector<SlotChange> simply_placed(const Fleet& fleet, const std::vector<Wanted>& wanted) {
  std::map<SlotRef, SlotChange> open;  // may be given away
  for (const auto& [id, worker] : fleet.workers())
    for (std::uint32_t s = 0; s < worker.slots.size(); ++s)
      if (worker.slots[s] == JobId{}) open[{id, WorkerSlot{s}}] = {{id, WorkerSlot{s}}, JobId{}, JobId{}};
  for (const auto& [job, count] : wanted)
    for (std::size_t s = count; s < fleet.granted(job); ++s) open[fleet.holding(job).slots[s]] = {fleet.holding(job).slots[s], job, JobId{}};
  std::map<JobId, std::uint32_t> missing;
  for (const auto& [job, count] : wanted) missing[job] = count - std::min(count, fleet.granted(job));
  for (const bool known : {true, false})
    for (auto& [job, count] : missing)
      for (auto& [at, change] : open) {
        const auto& warm = fleet.holding(job).warm;
        if (count == 0 || change.to != JobId{} || (known && std::find(warm.begin(), warm.end(), at.worker) == warm.end())) continue;
        change.to = job, --count;
      }
  std::vector<SlotChange> out;
  for (const auto& [at, change] : open)
    if (change.from != change.to) out.push_back(change);
  return out;
}

TEST(Placement, TheFewestSlotsChange) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    Fleet fleet;
    for (std::uint32_t w = 1; w <= 4; ++w) fleet.add(WorkerId{w}, fmt::format("w{}", w), static_cast<std::uint32_t>(rng.below(5)));
    for (int round = 0; round < 10; ++round) {
      std::vector<Wanted> wanted;
      std::uint32_t left = fleet.slots();
      for (std::uint64_t j = 1; j <= 5; ++j) {
        wanted.push_back({JobId{j}, std::min(static_cast<std::uint32_t>(rng.below(left / 2 + 2)), left)});
        left -= wanted.back().slots;
      }
      std::map<JobId, std::uint32_t> before;
      for (const JobId job : fleet.holders()) before[job] = fleet.granted(job);
      const auto changes = place(fleet, wanted);
      std::uint32_t least = 0, gained = 0, lost = 0;  // every gain needs a slot; so does every loss, and one slot may be both
      for (std::uint64_t j = 1; j <= 5; ++j) {
        const std::uint32_t had = before.contains(JobId{j}) ? before.at(JobId{j}) : 0, has = wanted[j - 1].slots;
        (has > had ? gained : lost) += has > had ? has - had : had - has;
      }
      least = std::max(gained, lost);
      std::set<SlotRef> touched;
      for (const SlotChange& c : changes) {
        EXPECT_TRUE(touched.insert(c.at).second);
        EXPECT_NE(c.from, c.to);
      }
      EXPECT_EQ(changes, simply_placed(fleet, wanted));
      fleet.apply(changes);
      if (const JobId over{1 + rng.below(5)}; fleet.granted(over) == 0) fleet.forget(over);
      EXPECT_GE(changes.size(), least);
      EXPECT_LE(changes.size(), gained + lost);
      for (const auto& [job, count] : wanted) EXPECT_EQ(fleet.granted(job), count);
    }
  }
}

TEST(Placement, AJobComesBackToAWorkerThatKnowsIt) {
  Fleet fleet;
  fleet.add(WorkerId{1}, "a", 1);
  fleet.add(WorkerId{2}, "b", 1);
  const JobId one{1}, two{2};
  fleet.apply({{WorkerId{2}, WorkerSlot{0}}, JobId{}, one});
  fleet.apply({{WorkerId{2}, WorkerSlot{0}}, one, JobId{}});
  const std::vector<Wanted> wanted = {{one, 1}, {two, 1}};
  const auto changes = place(fleet, wanted);
  ASSERT_EQ(changes.size(), 2U);
  for (const SlotChange& c : changes) EXPECT_EQ(c.to, c.at.worker == WorkerId{2} ? one : two);
}

TEST(Placement, ALostWorkersSlotsAreChangesToo) {
  Fleet fleet;
  fleet.add(WorkerId{1}, "a", 2);
  fleet.apply({{WorkerId{1}, WorkerSlot{1}}, JobId{}, JobId{7}});
  const auto lost = fleet.remove(WorkerId{1});
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_EQ(lost[0], (SlotChange{{WorkerId{1}, WorkerSlot{1}}, JobId{7}, JobId{}}));
  EXPECT_EQ(fleet.slots(), 0U);
}

}  // namespace
}  // namespace sluice::manager
