/// A job home's cut, at any moment, and a home that goes on from it.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/detail/home_crowd_test.h"

namespace sluice::server {
namespace {

using proto::HomeState;
using testing::Each;
using testing::HasSubstr;

/// With and without phases, under every consistency, with and without held-out rows.
Shape any_shape(std::uint64_t seed) {
  Shape shape = phased_shape(seed);
  if (seed / 12 % 2 == 0) shape.phases = 0, shape.epochs = 1 + static_cast<std::uint32_t>(seed % 4);
  return shape;
}

std::string shown(std::uint64_t seed, const Shape& shape) {
  return fmt::format("seed {}: {} rows in {}, {} epochs, {} phases, {} held out, mode {}", seed, shape.rows, shape.chunk_rows, shape.epochs, shape.phases,
                     shape.test_rows, proto::name_of(shape.consistency.mode));
}

TEST(JobHomeCut, IsOfOneMomentAndEachRowIsTrainedOnceBeforeItOrAfterIt) {
  int leased = 0, scoring = 0, at_phase = 0;
  for (std::uint64_t seed = 1; seed <= 480; ++seed) {
    const Shape shape = any_shape(seed);
    const std::string where = shown(seed, shape);
    HomeCrowd crowd(shape, 1 + seed % 5, seed);
    crowd.run(static_cast<int>(crowd.rng.below(150)));
    if (crowd.home->state() == HomeState::kFinished) continue;
    crowd.home->close();
    crowd.closed = true;
    crowd.run();
    ASSERT_TRUE(crowd.home->quiet()) << where;
    const auto cut = crowd.home->cut();
    const auto trained = crowd.trained;
    std::uint64_t examples = 0;
    for (const auto& pass : trained) examples += static_cast<std::uint64_t>(std::count(pass.begin(), pass.end(), 1));
    ASSERT_EQ(cut.examples, examples) << where;
    ASSERT_EQ(cut.phases_done, crowd.applied) << where;
    leased += std::any_of(cut.leases.begin(), cut.leases.end(), [](const auto& l) { return l && l->offset > 0; });
    scoring += cut.evaluating, at_phase += crowd.out(proto::LeaseKind::kPhase) > 0;

    crowd.home->reopen(Instant{1});
    crowd.closed = false;
    crowd.run();
    ASSERT_EQ(crowd.home->state(), HomeState::kFinished) << "the job that was saved: " << where;
    ASSERT_THAT(crowd.trained, Each(Each(1))) << where;

    const auto read = proto::saved_home_from_json(proto::to_json(cut));
    ASSERT_TRUE(read) << read.error().what;
    ASSERT_EQ(*read, cut) << where;
    HomeCrowd again(shape, 1 + seed % 4, seed + 1000);
    const ResumedHome resumed{*read, join_of(shape).tables};
    auto home = JobHome::open(JobId(77), 0, join_of(shape), &resumed);
    ASSERT_TRUE(home) << home.error().what << where;
    again.home = std::move(*home);
    again.trained = trained, again.applied = cut.phases_done;
    for (const auto& pass : trained) again.open_rows += static_cast<std::uint64_t>(std::count(pass.begin(), pass.end(), 1));
    again.open_rows -= std::uint64_t{cut.phases_done} * shape.rows;
    again.run();
    ASSERT_EQ(again.home->state(), HomeState::kFinished) << "the restored job: " << where;
    ASSERT_THAT(again.trained, Each(Each(1))) << where;
    const auto report = again.home->report(), whole = crowd.home->report();
    EXPECT_EQ(report.examples, whole.examples) << where;
    EXPECT_EQ(report.evaluated, shape.test_rows) << where;
    EXPECT_EQ(report.redone_batches >= cut.redone, true) << where;
    EXPECT_GE(report.step, cut.step) << where;
  }
  EXPECT_GT(leased, 20) << "the search must cut leases";
  EXPECT_GT(scoring, 5) << "and scorings";
  EXPECT_GT(at_phase, 3) << "and ends of phases";
}

/// Changes one thing of it.
void make_odd(proto::SavedHome& home, SeededRng& rng) {
  const auto odd = [&]() -> std::uint64_t {
    constexpr std::uint64_t kOdd[] = {0, 1, 2, 7, 100, 1000, ~std::uint64_t{0}};
    return kOdd[rng.below(7)];
  };
  switch (rng.below(11)) {
    case 0:
      home.epochs_done = static_cast<std::uint32_t>(odd());
      break;
    case 1:
      home.open.push_back({odd(), odd()});
      break;
    case 2:
      home.returned.push_back({static_cast<std::uint32_t>(odd()), odd(), static_cast<std::uint32_t>(odd()), static_cast<std::uint32_t>(odd())});
      break;
    case 3:
      home.leases.push_back(proto::SavedPiece{static_cast<std::uint32_t>(odd()), odd(), static_cast<std::uint32_t>(odd()), 0});
      break;
    case 4:
      if (!home.open.empty()) home.open[0].committed = odd();
      break;
    case 5:
      if (!home.open.empty()) home.open.pop_back();
      break;
    case 6:
      home.phases_done = static_cast<std::uint32_t>(odd());
      break;
    case 7:
      home.step = odd(), home.examples = odd();
      break;
    case 8:
      home.evaluating = !home.evaluating, home.epochs_evaluated = static_cast<std::uint32_t>(odd());
      break;
    case 9:
      home.examples_at_evaluation = odd(), home.step_at_evaluation = odd();
      break;
    default:
      if (!home.returned.empty()) home.returned.push_back(home.returned[0]);
  }
}

TEST(JobHomeCut, WhatCanNotBeIsRefusedAndNothingIsBroken) {
  Shape shape = any_shape(13);
  int refused = 0;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    shape = any_shape(1 + seed % 48);
    HomeCrowd crowd(shape, 3, seed);
    crowd.run(static_cast<int>(crowd.rng.below(400)));
    if (crowd.home->state() == HomeState::kFinished) continue;
    crowd.home->close();
    crowd.closed = true;
    crowd.run();
    ResumedHome from{crowd.home->cut(), join_of(shape).tables};
    for (std::uint64_t n = 1 + crowd.rng.below(3); n > 0; --n) make_odd(from.home, crowd.rng);
    auto opened = JobHome::open(JobId(77), 0, join_of(shape), &from);
    if (!opened) {
      ++refused;
      ASSERT_EQ(opened.error().code, Errc::kBadData);
      continue;
    }
    // It may be another job than the one that was saved, but no assertion fails.
    Slot slot{Incarnation(1)};
    slot.join(**opened, shape);
    for (int i = 0; i < 50; ++i) {
      const auto lease = (*opened)->lease(slot.id, Instant{1});
      ASSERT_TRUE(lease);
      slot.lease = *lease, slot.gate = (*opened)->gate(slot.id)->clock;
      if (lease->kind != proto::LeaseKind::kTrain || slot.clock > slot.gate) break;
      auto commit = slot.next_commit(20, false);
      commit.batch = static_cast<std::uint64_t>(i) + 1;
      ASSERT_TRUE((*opened)->commit(slot.id, commit, Instant{1}));
      ++slot.clock, ++slot.sequence;
      if (const auto apply = (*opened)->take_apply()) (*opened)->applied(apply->clock);
    }
    (void)(*opened)->report();
  }
  EXPECT_GT(refused, 500);
}

TEST(JobHomeCut, OtherDataTablesAndPhasesAreNamed) {
  Shape shape;
  auto home = open(shape);
  home->close();
  ASSERT_TRUE(home->quiet());
  const ResumedHome good{home->cut(), join_of(shape).tables};
  const auto words = [&](const Shape& s, const ResumedHome& from) {
    const auto opened = JobHome::open(JobId(8), 0, join_of(s), &from);
    return opened ? std::string() : opened.error().what;
  };
  EXPECT_EQ(words(shape, good), "");
  Shape other = shape;
  other.rows += 1;
  EXPECT_THAT(words(other, good), HasSubstr("the data differs from what the checkpoint was trained on: 1001 + 0 rows"));
  other = shape, other.chunk_rows = 64;
  EXPECT_THAT(words(other, good), HasSubstr("in chunks of 64"));
  ResumedHome from = good;
  from.tables[0].name = "v";
  EXPECT_THAT(words(shape, from), HasSubstr("its table 0 is 'v', the job's is 'w'"));
  from = good, from.tables[0].cols = 5;
  EXPECT_THAT(words(shape, from), HasSubstr("table 'w' is 10 × 5 there and 10 × 4 here"));
  from = good, from.tables[0].optimizer.name = "adam";
  EXPECT_THAT(words(shape, from), HasSubstr("optimizer adam there"));
  from = good, from.tables.push_back(from.tables[0]);
  EXPECT_THAT(words(shape, from), HasSubstr("it has 2 tables, the job 1"));
  from = good, from.home.phases = 3;
  EXPECT_THAT(words(shape, from), HasSubstr("it has 3 phases, the job 0"));
  from = good, from.tables[0].seed = 99;
  const auto seeded = JobHome::open(JobId(8), 0, join_of(shape), &from);
  ASSERT_TRUE(seeded);
  EXPECT_EQ((*seeded)->tables()[0].seed, 99U) << "rows that are made later are those that the saved job would have made";
}

TEST(JobHomeCut, NoWorkIsGivenOutBeforeTheFirstValuesAreThere) {
  Shape shape;
  auto join = join_of(shape);
  auto spec = *proto::job_spec_from_json(join.spec);
  spec.start = {"/m.safetensors", false};
  join.spec = proto::to_json(spec);
  auto home = *JobHome::open(JobId(8), 0, join);
  EXPECT_FALSE(home->started());
  Slot slot{Incarnation(1)};
  slot.join(*home, join);
  EXPECT_EQ(home->lease(slot.id)->kind, proto::LeaseKind::kWait);
  home->start();
  EXPECT_EQ(home->lease(slot.id)->kind, proto::LeaseKind::kTrain);
}

}  // namespace
}  // namespace sluice::server
