#include "manager/view_keeper.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "manager/policies/share_rule.h"

namespace sluice::manager {
namespace {

class ViewKeeperTest : public testing::Test {
 protected:
  static constexpr std::size_t kJobs = 600;  ///< enough for several threads
  void SetUp() override {
    fleet.add(WorkerId{1}, "w1", 8);
    std::vector<proto::JobSpec> specs(kJobs);
    for (std::size_t j = 0; j < specs.size(); ++j) specs[j].name = fmt::format("job-{}", j + 1), specs[j].group = j < 10 ? "g" : "";
    ids = *jobs.submit(std::move(specs), now);
    look();
  }
  void look() {
    now = now + from_ms(500);
    keeper.look(now, false, nullptr);
  }
  void report(std::size_t j, double loss) {
    const Job& job = *jobs.find(ids[j]);
    proto::JobReport r;
    r.job = job.id, r.generation = 1;
    r.step = job.step + 20, r.examples = r.step * 10, r.examples_total = 1'000'000;
    r.window_steps = 20, r.window_examples = 200;
    r.loss_sum = loss * 200, r.loss_squares = loss * r.loss_sum;
    r.seconds = (now - Instant{}).seconds(), r.slot_seconds = job.slot_seconds + 0.5;
    (void)jobs.report(r, now);
  }

  PredictorRegistry predictors = builtin_predictors();
  JobTable jobs{**predictors.find("ensemble")};
  Fleet fleet;
  ViewKeeper keeper{RoundOptions{}, jobs, fleet};
  Instant now{1'000'000'000};
  std::vector<JobId> ids;
};

TEST_F(ViewKeeperTest, ARoundMakesAnewWhatSomethingHappenedToAndNothingElse) {
  EXPECT_EQ(keeper.made(), kJobs);
  look();
  EXPECT_EQ(keeper.made(), 0U);
  EXPECT_TRUE(keeper.changed().empty());
  for (const std::size_t j : {20U, 30U, 40U}) report(j, 2), report(j, 1.9);
  look();
  EXPECT_EQ(keeper.made(), 3U);
  EXPECT_EQ(keeper.changed().size(), 3U);
  EXPECT_EQ(keeper.view().jobs[30].reports, 2U);
  ASSERT_TRUE(jobs.pause(ids[50]));
  ASSERT_TRUE(jobs.set(ids[51], {.weight = 3, .slots_min = 0, .slots_max = 4}));
  keeper.moved(*jobs.find(ids[52]), from_ms(3));
  look();
  EXPECT_EQ(keeper.made(), 3U);
  EXPECT_EQ(keeper.view().jobs[50].slots_max, 0U);
  EXPECT_EQ(keeper.view().jobs[51].weight, 3);
  EXPECT_EQ(keeper.view().jobs[52].move_cost, from_ms(3));
}

TEST_F(ViewKeeperTest, AGroupsBestIsToldToItsMembersAndNewSlotsToAll) {
  report(3, 2);
  look();
  EXPECT_EQ(keeper.made(), 10U);
  for (std::size_t j = 0; j < 10; ++j) EXPECT_EQ(keeper.view().jobs[j].group_best, 2);
  fleet.add(WorkerId{2}, "w2", 8);
  look();
  EXPECT_EQ(keeper.made(), kJobs);
  EXPECT_EQ(slots_of(keeper.view()), 16U);
}

TEST_F(ViewKeeperTest, WhoEndedIsGoneAndThoseBehindMoveUp) {
  ASSERT_TRUE(jobs.cancel(ids[7], now));
  std::vector<proto::JobSpec> more(1);
  more[0].name = "another";
  ids.push_back(jobs.submit(std::move(more), now)->front());
  look();
  EXPECT_TRUE(keeper.moved_places());
  ASSERT_EQ(keeper.left().size(), 1U);
  EXPECT_EQ(keeper.left()[0]->id, ids[7]);
  ASSERT_EQ(keeper.view().jobs.size(), kJobs);
  EXPECT_EQ(keeper.view().jobs[7].id, ids[8]);
  EXPECT_EQ(keeper.view().jobs.back().id, ids.back());
  for (std::size_t i = 0; i < kJobs; ++i) EXPECT_EQ(keeper.job_at(i).id, keeper.view().jobs[i].id);
  report(8, 1);
  look();
  EXPECT_FALSE(keeper.moved_places());
  EXPECT_EQ(keeper.view().jobs[7].loss, 1) << "the one that moved up";
}

TEST_F(ViewKeeperTest, AKeptViewIsTheOneThatWouldBeMadeNow) {
  for (int round = 0; round < 30; ++round) {
    for (std::size_t j = 0; j < ids.size(); ++j)
      if (round == 29 || (j + static_cast<std::size_t>(round)) % 7 == 0) report(j, 2.0 / (1 + 0.1 * round) + 0.001 * static_cast<double>(j));
    look();
  }
  for (std::size_t j = 0; j < ids.size(); ++j) {
    const JobView& kept = keeper.view().jobs[j];
    const JobView fresh = view_of(*jobs.find(ids[j]), RoundOptions{}, 8, {});
    EXPECT_EQ(kept.forecast, fresh.forecast);
    EXPECT_EQ(kept.speed_up, fresh.speed_up);
    EXPECT_EQ(kept.loss, fresh.loss);
    EXPECT_EQ(kept.end_loss, fresh.end_loss);
    EXPECT_EQ(kept.usable, fresh.usable);
    EXPECT_GT(kept.forecast.size(), 3U);
  }
}

TEST_F(ViewKeeperTest, ForecastsThatNobodyReadAreMadeWhenTheyAreAskedFor) {
  const auto carrier = make_share_rule("sluice", Hearing::kLoss)->make_incremental();
  std::size_t left_out = 0;
  for (int round = 0; round < 12; ++round) {
    for (std::size_t j = 0; j < ids.size(); ++j)
      if (round < 3 || (j + static_cast<std::size_t>(round)) % 7 == 0) report(j, 2.0 / (1 + 0.1 * round) + 0.001 * static_cast<double>(j));
    if (round == 5) {
      ASSERT_TRUE(jobs.cancel(ids[7], now));  // those behind it move up, and what is left out with them
      ASSERT_TRUE(jobs.pause(ids[9]));
    }
    now = now + from_ms(500);
    keeper.look(now, false, carrier.get());
    for (const JobView& v : keeper.view().jobs) left_out += v.end_deviation > 0 && v.forecast.empty() ? 1 : 0;
  }
  EXPECT_GT(left_out, 1000U);
  keeper.foretell_all();
  std::size_t foretold = 0;
  for (const JobView& kept : keeper.view().jobs) {
    EXPECT_EQ(kept.forecast, view_of(*jobs.find(kept.id), RoundOptions{}, 8, {}).forecast);
    foretold += kept.forecast.empty() ? 0 : 1;
  }
  EXPECT_EQ(foretold, kJobs - 2);
}

TEST_F(ViewKeeperTest, AJobThatEndsByWhatItsLossDoesDeclaresNoLength) {
  std::vector<proto::JobSpec> more(3);
  more[0].name = "epochs", more[1].name = "converged", more[2].name = "patience";
  more[1].stop_converged = true, more[2].patience_epochs = 3;
  const auto added = jobs.submit(std::move(more), now);
  ids.insert(ids.end(), added->begin(), added->end());
  for (std::size_t round = 1; round <= 10; ++round) {
    for (std::size_t j = kJobs; j < kJobs + 3; ++j) report(j, 1 + 1.0 / static_cast<double>(round));
    look();
  }
  const auto& views = keeper.view().jobs;
  EXPECT_TRUE(views[kJobs].declared);
  EXPECT_EQ(views[kJobs].total_steps, 7813) << "1,000,000 examples in batches of 128";
  for (std::size_t j = kJobs + 1; j < kJobs + 3; ++j) {
    EXPECT_FALSE(views[j].declared);
    EXPECT_EQ(views[j].total_steps, 400) << "twice what it has done, where no past job says more";
    EXPECT_EQ(jobs.find(ids[j])->steps_max(), 7813);
    EXPECT_EQ(views[j].usable, views[kJobs].usable) << "there are no more batches than that";
  }
  const std::uint64_t almost = 7000;
  for (std::size_t j = kJobs; j < kJobs + 3; ++j) jobs.find(ids[j])->step = almost, report(j, 1.05);
  look();
  for (std::size_t j = kJobs + 1; j < kJobs + 3; ++j) EXPECT_EQ(views[j].total_steps, 7813) << "never more than its epochs are";
}

TEST_F(ViewKeeperTest, ForecastsAreOfFewDigits) {
  for (int round = 1; round < 9; ++round) {
    for (std::size_t j = 0; j < ids.size(); ++j) report(j, std::pow(10.0, static_cast<double>(j % 17) - 8) * (1 + 1.0 / round));
    look();
  }
  std::size_t falls = 0;
  for (const JobView& job : keeper.view().jobs) {
    double before = 0;
    for (const ForecastKnot& knot : job.forecast) {
      EXPECT_LE(nlohmann::json(knot.drop).dump().size(), sizeof("1.234567e-12")) << knot.drop;
      EXPECT_GE(knot.drop, before);
      falls += knot.drop > before ? 1 : 0;
      before = knot.drop;
    }
  }
  EXPECT_GT(falls, 400U);
}

TEST_F(ViewKeeperTest, WaitingBeginsWithTheRoundThatTookTheSlot) {
  keeper.set_slots(*jobs.find(ids[0]), 2);
  look();
  EXPECT_EQ(waited(keeper.view(), keeper.view().jobs[0]), Duration{});
  keeper.set_slots(*jobs.find(ids[0]), 0);
  look();
  look();
  EXPECT_EQ(waited(keeper.view(), keeper.view().jobs[0]), from_ms(1000));
  EXPECT_EQ(waited(keeper.view(), keeper.view().jobs[1]), keeper.view().now - keeper.view().jobs[1].submitted);
}

}  // namespace
}  // namespace sluice::manager
