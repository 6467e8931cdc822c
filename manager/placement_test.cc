#include "manager/placement.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace sluice::manager {
namespace {

TEST(Placement, TheFewestSlotsChange) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    SeededRng rng(seed);
    Fleet fleet;
    for (std::uint32_t w = 1; w <= 4; ++w) fleet.add(WorkerId{w}, fmt::format("w{}", w), static_cast<std::uint32_t>(rng.below(5)));
    for (int round = 0; round < 10; ++round) {
      std::map<JobId, std::uint32_t> wanted;
      std::uint32_t left = fleet.slots();
      for (std::uint64_t j = 1; j <= 5; ++j) {
        wanted[JobId{j}] = static_cast<std::uint32_t>(rng.below(left / 2 + 2));
        wanted[JobId{j}] = std::min(wanted[JobId{j}], left);
        left -= wanted[JobId{j}];
      }
      std::map<JobId, std::uint32_t> before;
      for (const auto& [job, holding] : fleet.holdings()) before[job] = static_cast<std::uint32_t>(holding.slots.size());
      const auto changes = place(fleet, wanted);
      std::uint32_t least = 0, gained = 0, lost = 0;  // every gain needs a slot; so does every loss, and one slot may be both
      for (std::uint64_t j = 1; j <= 5; ++j) {
        const std::uint32_t had = before.contains(JobId{j}) ? before.at(JobId{j}) : 0, has = wanted[JobId{j}];
        (has > had ? gained : lost) += has > had ? has - had : had - has;
      }
      least = std::max(gained, lost);
      std::set<SlotRef> touched;
      for (const SlotChange& c : changes) {
        EXPECT_TRUE(touched.insert(c.at).second);
        EXPECT_NE(c.from, c.to);
        fleet.apply(c);
      }
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
  const auto changes = place(fleet, {{one, 1}, {two, 1}});
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
