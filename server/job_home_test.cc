#include "server/job_home.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>

#include "base/rng.h"
#include "server/detail/home_client_test.h"

namespace sluice::server {
namespace {

using proto::HomeState;
using proto::LeaseKind;
using testing::HasSubstr;

/// Many slots that join, train, evaluate, leave and die in a random order, each answer sometimes lost and asked for again.
struct Crowd {
  Crowd(Shape s, int slots, std::uint64_t seed) : shape(s), home(open(s)), rng(seed), committed(s.rows * s.epochs) {
    for (int i = 0; i < slots; ++i) crowd.push_back({Incarnation(static_cast<std::uint64_t>(next_id++)), false, 0, 0, 1, {}});
  }

  void train(Slot& slot) {
    if (slot.clock > slot.gate) {
      ++waits;
      const auto asked = home->gate(slot.id);
      ASSERT_TRUE(asked);
      ASSERT_LE(asked->clock, slot.clock) << "a rise beyond need was announced, not left to be asked for";
      return;
    }
    const auto commit = slot.next_commit(static_cast<std::uint32_t>(1 + rng.below(50)), rng.below(2) == 0);
    const auto reply = home->commit(slot.id, commit, now());
    ASSERT_TRUE(reply) << reply.error().what;
    if (rng.below(4) == 0) {
      const auto again = home->commit(slot.id, commit, now());
      ASSERT_TRUE(again);
      ASSERT_EQ(*again, *reply) << "a repeat is answered as the first was";
    }
    for (std::uint32_t i = commit.offset - commit.examples; i < commit.offset; ++i) ++committed[slot.lease.epoch * shape.rows + slot.lease.first_row + i];
    ++slot.clock, ++slot.sequence, ++batches;
    slot.lease.offset = commit.offset;
    slot.gate = reply->gate;
    if (slot.lease.offset == slot.lease.rows) slot.lease = {};
    if (reply->has_lease) slot.lease = reply->lease;
  }
  void evaluate(Slot& slot) {
    proto::EvaluateCommit commit{slot.lease.lease, slot.lease.rows, 0.5 * slot.lease.rows, 0.75 * slot.lease.rows, "accuracy", 0.001};
    ASSERT_TRUE(home->evaluate_commit(slot.id, commit, now()));
    if (rng.below(4) == 0) { ASSERT_TRUE(home->evaluate_commit(slot.id, commit, now())); }
    slot.lease = {};
  }

  void step(Slot& slot) {
    if (!slot.in) return slot.join(*home, shape);
    if (rng.below(40) == 0) {
      home->leave(slot.id), slot.in = false;
      return;
    }
    if (rng.below(60) == 0) return die(slot);
    if (slot.lease.lease == 0) {
      const auto lease = home->lease(slot.id);
      ASSERT_TRUE(lease);
      if (rng.below(4) == 0 && lease->lease != 0) { ASSERT_EQ(*home->lease(slot.id), *lease) << "asking twice gives one lease"; }
      slot.lease = *lease;
      return;
    }
    slot.lease.kind == LeaseKind::kTrain ? train(slot) : evaluate(slot);
  }
  void die(Slot& slot) {
    const bool training = slot.lease.lease != 0 && slot.lease.kind == LeaseKind::kTrain;
    redone += training;
    home->expire([&](Incarnation id) { return id == slot.id; });
    slot = {Incarnation(static_cast<std::uint64_t>(next_id++)), false, 0, 0, 1, {}};
  }
  void deliver_gates() {
    for (const GateRise& rise : home->take_gate_rises()) {
      for (Slot& slot : crowd) {
        if (slot.id == rise.client) slot.gate = rise.gate;
      }
    }
  }
  [[nodiscard]] Instant now() { return Instant{++ticks * 1'000'000}; }

  void run() {
    for (int i = 0; i < 200'000 && home->state() != HomeState::kFinished && !testing::Test::HasFatalFailure(); ++i) {
      step(crowd[rng.below(crowd.size())]);
      deliver_gates();
    }
  }

  Shape shape;
  std::unique_ptr<JobHome> home;
  SeededRng rng;
  std::vector<int> committed;
  std::vector<Slot> crowd;
  int next_id = 1;
  std::int64_t ticks = 0;
  std::uint64_t batches = 0, redone = 0, waits = 0;
};

TEST(JobHome, EachExampleIsCommittedOnceAnEpochWhoeverLeavesOrDies) {
  std::uint64_t waits = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Shape shape;
    shape.rows = 300 + 37 * seed, shape.chunk_rows = static_cast<std::uint32_t>(16 + seed * 3), shape.epochs = 1 + static_cast<std::uint32_t>(seed % 4);
    shape.test_rows = seed % 3 == 0 ? 0 : 5000;
    if (seed % 2 == 0) shape.consistency = {proto::ConsistencyMode::kSsp, static_cast<std::uint32_t>(seed % 3)};
    Crowd crowd(shape, static_cast<int>(1 + seed % 5), seed);
    crowd.run();
    ASSERT_EQ(crowd.home->state(), HomeState::kFinished) << "seed " << seed;
    ASSERT_THAT(crowd.committed, testing::Each(1)) << "seed " << seed;
    const auto report = crowd.home->report();
    EXPECT_EQ(report.examples, report.examples_total);
    EXPECT_EQ(report.step, crowd.batches);
    EXPECT_EQ(report.redone_batches, crowd.redone);
    EXPECT_EQ(report.evaluated, shape.test_rows);
    if (shape.test_rows > 0) {
      EXPECT_EQ(report.evaluated_at_step, crowd.batches) << "the final evaluation is of the final parameters";
      EXPECT_DOUBLE_EQ(report.validation_loss, 0.5);
      EXPECT_DOUBLE_EQ(report.metric, 0.75);
      EXPECT_EQ(report.metric_name, "accuracy");
    }
    waits += crowd.waits;
  }
  EXPECT_GT(waits, 0U) << "the search must meet shut gates";
}

TEST(JobHome, WindowsAddUpToTheTotalsHoweverReportsFall) {
  Shape shape;
  Crowd crowd(shape, 3, 1);
  proto::JobReport sums;
  SeededRng rng(2);
  for (int i = 0; i < 100'000 && crowd.home->state() != HomeState::kFinished; ++i) {
    crowd.step(crowd.crowd[rng.below(3)]);
    crowd.deliver_gates();
    if (!crowd.home->changed() || rng.below(7) != 0) continue;
    const auto report = crowd.home->report();
    sums.window_steps += report.window_steps, sums.window_examples += report.window_examples, sums.loss_sum += report.loss_sum;
    crowd.home->report_taken();
    EXPECT_FALSE(crowd.home->changed());
  }
  const auto last = crowd.home->report();
  EXPECT_EQ(sums.window_steps + last.window_steps, last.step);
  EXPECT_EQ(sums.window_examples + last.window_examples, last.examples_total);
  EXPECT_DOUBLE_EQ(sums.loss_sum + last.loss_sum, 2.0 * static_cast<double>(last.examples_total));
  EXPECT_NEAR(last.slot_seconds, 0.01 * static_cast<double>(last.step), 1e-9);
  EXPECT_GT(crowd.home->curve().points().size(), 3U);
  EXPECT_DOUBLE_EQ(crowd.home->curve().last().loss, 2.0);
}

TEST(JobHome, AWrongCommitChangesNothingButItsNumber) {
  const Shape shape;
  auto home = open(shape);
  Slot slot{Incarnation(1)};
  slot.join(*home, shape);
  slot.lease = *home->lease(slot.id);
  const auto good = slot.next_commit(10, false);
  const std::vector<std::function<void(proto::Commit&)>> wrongs = {
      [](auto& c) { c.lease += 1; },
      [](auto& c) { c.offset += 1; },
      [](auto& c) { c.offset = c.examples = 0; },
      [](auto& c) { c.examples = c.offset = 129; },
      [](auto& c) { c.clock += 1; },
      [](auto& c) { c.loss_sum = std::nan(""); },
      [](auto& c) { c.loss_squares = std::numeric_limits<double>::infinity(); },
      [](auto& c) { c.slot_seconds = -1; },
      [](auto& c) { c.step_read = 1; },
  };
  std::uint64_t sequence = 0;
  for (const auto& wrong : wrongs) {
    auto commit = good;
    wrong(commit);
    commit.sequence = ++sequence;
    const auto refused = home->commit(slot.id, commit, Instant{1});
    ASSERT_FALSE(refused) << sequence;
    EXPECT_EQ(refused.error().code, Errc::kRejected);
    commit.lease = good.lease, commit.offset = good.offset, commit.examples = good.examples;
    const auto again = home->commit(slot.id, commit, Instant{1});
    ASSERT_FALSE(again) << "a refusal consumes its number";
    EXPECT_EQ(again.error().what, refused.error().what);
    EXPECT_EQ(home->report().step, 0U);
  }
  auto next = good;
  next.sequence = sequence + 2;
  EXPECT_THAT(home->commit(slot.id, next, Instant{1}).error().what, HasSubstr("commit 11 where 10 is expected"));
  next.sequence = sequence + 1;
  EXPECT_TRUE(home->commit(slot.id, next, Instant{1}));
  EXPECT_EQ(home->report().step, 1U);
}

TEST(JobHome, ALeaverMayStillAskForTheAnswerOfItsLastCommit) {
  const Shape shape;
  auto home = open(shape);
  Slot slot{Incarnation(1)};
  slot.join(*home, shape);
  slot.lease = *home->lease(slot.id);
  const auto commit = slot.next_commit(10, false);
  const auto reply = home->commit(slot.id, commit, Instant{1});
  home->leave(slot.id);
  EXPECT_EQ(*home->commit(slot.id, commit, Instant{2}), *reply);
  EXPECT_EQ(home->report().step, 1U);
  slot.join(*home, shape);
  EXPECT_EQ(slot.sequence, 2U) << "its numbers go on";
  const auto rest = *home->lease(slot.id);
  EXPECT_EQ(rest.offset, 10U) << "what it gave back begins where it was committed to";
}

TEST(JobHome, LaterJoinsMustAgreeWithTheFirst) {
  const Shape shape;
  auto home = open(shape);
  const std::vector<std::pair<std::function<void(proto::Join&)>, std::string>> wrongs = {
      {[](auto& j) { j.data_hash = 1; }, "the data differs"},   {[](auto& j) { j.train_rows = 7; }, "the data differs"},
      {[](auto& j) { j.test_rows = 7; }, "the data differs"},   {[](auto& j) { j.chunk_rows = 7; }, "chunks of 7 rows"},
      {[](auto& j) { j.tables.clear(); }, "the tables differ"}, {[](auto& j) { j.tables[0].cols = 5; }, "the tables differ"},
  };
  for (const auto& [wrong, words] : wrongs) {
    auto join = join_of(shape);
    wrong(join);
    const auto refused = home->join(Incarnation(1), join);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().what, HasSubstr(words));
  }
  auto reseeded = join_of(shape);
  reseeded.tables[0].seed = 1234;
  const auto reply = home->join(Incarnation(1), reseeded);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->tables, join_of(shape).tables) << "the first join's seeds count";
}

TEST(JobHome, WhatCanNotBeOpenedSaysWhy) {
  const std::vector<std::pair<std::function<void(proto::Join&)>, std::string>> wrongs = {
      {[](auto& j) { j.spec = "{"; }, ""},
      {[](auto& j) { j.train_rows = 0; }, "no training rows"},
      {[](auto& j) { j.chunk_rows = 0; }, "chunks of 0 rows"},
      {[](auto& j) { j.chunk_rows = 1, j.train_rows = std::uint64_t{1} << 40; }, "chunks of 1 rows"},
      {[](auto& j) { j.tables[0].id = TableId(1); }, "its place is 0"},
      {[](auto& j) { j.tables[0].optimizer.name = "adamm"; }, "did you mean 'adam'"},
      {[](auto& j) { j.tables[0].optimizer.numbers["lr"] = -1; }, "lr of optimizer 'sgd' is -1"},
  };
  for (const auto& [wrong, words] : wrongs) {
    auto join = join_of({});
    wrong(join);
    const auto refused = JobHome::open(kHomeJob, 0, join);
    ASSERT_FALSE(refused) << words;
    EXPECT_THAT(refused.error().what, HasSubstr(words));
  }
}

TEST(JobHome, EveryEpochIsEvaluatedWhereThatIsCheapAndAlwaysTheEnd) {
  for (const std::uint64_t test_rows : {100U, 3000U}) {
    Shape shape;
    shape.test_rows = test_rows, shape.epochs = 6;
    auto home = open(shape);
    Slot slot{Incarnation(1)};
    slot.join(*home, shape);
    std::vector<std::uint64_t> evaluated_at;
    for (int i = 0; i < 1000 && home->state() != HomeState::kFinished; ++i) {
      slot.lease = *home->lease(slot.id);
      if (slot.lease.kind == LeaseKind::kTrain) {
        ASSERT_TRUE(home->commit(slot.id, slot.next_commit(128, false), Instant{i}));
        ++slot.clock, ++slot.sequence;
      } else {
        ASSERT_EQ(slot.lease.kind, LeaseKind::kEvaluate);
        ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, 1, 1, "accuracy", 0}, Instant{i}));
        if (evaluated_at.empty() || evaluated_at.back() != home->report().evaluated_at_step) evaluated_at.push_back(home->report().evaluated_at_step);
      }
    }
    EXPECT_EQ(home->lease(slot.id)->kind, LeaseKind::kFinished);
    const std::uint64_t batches = 8;  // an epoch's
    if (test_rows == 100) {
      EXPECT_THAT(evaluated_at, testing::ElementsAre(batches, 2 * batches, 3 * batches, 4 * batches, 5 * batches, 6 * batches));
    } else {
      EXPECT_THAT(evaluated_at, testing::ElementsAre(batches, 6 * batches)) << "6 × 1000 rows of training do not pay for more than one before the end";
    }
  }
}

/// Where the job says when, that counts, whatever a scoring costs; what it says in steps begins at the first commit after them.
TEST(JobHome, HeldOutRowsAreScoredAsOftenAsTheJobSays) {
  using Steps = std::vector<std::uint64_t>;
  for (const auto& [wanted, expected] : std::vector<std::pair<proto::ValidationSpec, Steps>>{
           {{1, 0, ""}, {8, 16, 24, 32, 40, 48}}, {{4, 0, ""}, {32, 48}}, {{0, 20, ""}, {20, 40, 48}}, {{0, 1000, ""}, {48}}}) {
    Shape shape;
    shape.test_rows = 10'000, shape.epochs = 6, shape.validation = wanted;
    auto home = open(shape);
    Slot slot{Incarnation(1)};
    slot.join(*home, shape);
    Steps evaluated_at;
    for (int i = 0; i < 1000 && home->state() != HomeState::kFinished; ++i) {
      slot.lease = *home->lease(slot.id);
      if (slot.lease.kind == LeaseKind::kTrain) {
        ASSERT_TRUE(home->commit(slot.id, slot.next_commit(128, false), Instant{i}));
        ++slot.clock, ++slot.sequence;
      } else {
        ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, 1, 1, "accuracy", 0}, Instant{i}));
        if (evaluated_at.empty() || evaluated_at.back() != home->report().evaluated_at_step) evaluated_at.push_back(home->report().evaluated_at_step);
      }
    }
    EXPECT_EQ(home->state(), HomeState::kFinished);
    evaluated_at.erase(std::remove(evaluated_at.begin(), evaluated_at.end(), 0U), evaluated_at.end());
    EXPECT_EQ(evaluated_at, expected) << wanted.every_epochs << " epochs, " << wanted.every_steps << " steps";
  }
}

/// One slot trains and scores; the k-th scoring has that mean loss.
struct Patience {
  Patience(proto::ConsistencyMode mode, std::vector<double> scores) : losses(std::move(scores)) {
    shape.rows = 256, shape.epochs = 20, shape.test_rows = 100, shape.patience = 2, shape.consistency.mode = mode;
    home = open(shape);
    slot.join(*home, shape);
  }
  /// `before_scoring`: when the slot has taken the rows and before it scores them.
  void step(const std::function<void()>& before_scoring = [] {}) {
    if (const auto apply = home->take_apply()) home->applied(apply->clock);
    slot.lease = *home->lease(slot.id);
    if (slot.lease.kind == LeaseKind::kEvaluate) before_scoring();
    if (slot.lease.kind == LeaseKind::kTrain) {
      auto commit = slot.next_commit(128, false);
      commit.batch = slot.sequence;
      ASSERT_TRUE(home->commit(slot.id, commit, Instant{1}));
      ++slot.clock, ++slot.sequence;
    } else if (slot.lease.kind == LeaseKind::kEvaluate) {
      const double loss = losses[std::min(scored++, losses.size() - 1)];
      ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, loss * slot.lease.rows, 1, "accuracy", 0}, Instant{1}));
    }
  }
  void run() {
    for (int i = 0; i < 500 && home->state() != HomeState::kFinished; ++i) step();
  }
  Shape shape;
  std::vector<double> losses;
  std::unique_ptr<JobHome> home;
  Slot slot{Incarnation(1)};
  std::size_t scored = 0;
};

TEST(Patience, TrainingEndsWhenTheHeldOutLossHasNotFallenForSoManyEpochs) {
  for (const auto mode : {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kBsp}) {
    Patience rises(mode, {1.0, 0.8, 0.9, 0.7, 0.7, 0.75, 0.72});
    rises.run();
    EXPECT_EQ(rises.home->state(), HomeState::kFinished);
    const auto report = rises.home->report();
    EXPECT_EQ(report.examples, 6 * 256U) << "best after 4 epochs, and 2 more";
    EXPECT_THAT(report.ended, HasSubstr("stopped early: the held-out loss is 0.75 after 6 epochs, and was 0.7 after 4; patience: 2 epochs"));
    EXPECT_EQ(rises.scored, 7U);
    EXPECT_DOUBLE_EQ(report.validation_loss, 0.72) << "the end is scored as always";

    Patience falls(mode, {1.0, 0.9, 0.8, 0.81, 0.7, 0.71, 0.6, 0.61, 0.5, 0.51, 0.4, 0.41, 0.3, 0.31, 0.2, 0.21, 0.1, 0.11, 0.05, 0.06});
    falls.run();
    EXPECT_EQ(falls.home->report().examples, 20 * 256U);
    EXPECT_EQ(falls.home->report().ended, "");
  }
}

TEST(Patience, LeasesThatAreOutAreTrainedToTheirEndFirstOrComeBack) {
  for (const bool leaves : {false, true}) {
    Patience world(proto::ConsistencyMode::kAsp, {1.0});
    Slot slow{Incarnation(2)};
    const auto begin = [&] {
      if (world.home->report().examples < 3 * 256) return;
      slow.join(*world.home, world.shape);
      slow.lease = *world.home->lease(slow.id);
      ASSERT_EQ(slow.lease.kind, LeaseKind::kTrain);
      ASSERT_TRUE(world.home->commit(slow.id, slow.next_commit(64, false), Instant{1}));
      ++slow.clock, ++slow.sequence, slow.lease.offset = 64;
    };
    for (int i = 0; i < 500 && world.home->report().ended.empty(); ++i) world.step(begin);
    ASSERT_TRUE(slow.in);
    for (int i = 0; i < 10; ++i) world.step();
    EXPECT_EQ(world.home->state(), HomeState::kTraining) << "somebody still trains";
    if (leaves) {
      world.home->leave(slow.id);
    } else {
      ASSERT_TRUE(world.home->commit(slow.id, slow.next_commit(64, true), Instant{1}));
    }
    EXPECT_EQ(world.home->state(), HomeState::kEvaluating);
    if (!leaves) world.home->leave(slow.id);
    world.run();
    EXPECT_EQ(world.home->state(), HomeState::kFinished);
    EXPECT_EQ(world.home->report().evaluated_at_step, world.home->report().step);
  }
}

TEST(JobHome, AWrongScoreIsRefusedAndItsRowsGoToOthers) {
  Shape shape;
  shape.rows = 10, shape.epochs = 1, shape.test_rows = 10;
  auto home = open(shape);
  Slot slot{Incarnation(1)};
  slot.join(*home, shape);
  slot.lease = *home->lease(slot.id);
  ASSERT_TRUE(home->commit(slot.id, slot.next_commit(10, false), Instant{1}));
  const auto part = *home->lease(slot.id);
  ASSERT_EQ(part.kind, LeaseKind::kEvaluate);
  EXPECT_EQ(home->state(), HomeState::kEvaluating);
  EXPECT_FALSE(home->evaluate_commit(slot.id, {part.lease, 9, 1, 1, "accuracy", 0}, Instant{1}));
  const auto again = *home->lease(slot.id);
  EXPECT_EQ(again.kind, LeaseKind::kEvaluate);
  EXPECT_FALSE(home->evaluate_commit(slot.id, {again.lease, 10, std::nan(""), 1, "accuracy", 0}, Instant{1}));
  EXPECT_TRUE(home->evaluate_commit(slot.id, {home->lease(slot.id)->lease, 10, 1, 1, "accuracy", 0}, Instant{1}));
  EXPECT_EQ(home->state(), HomeState::kFinished);
}

TEST(JobHome, WhoHasNothingToDoIsToldToWaitAndWhoLeftIsToldToJoin) {
  Shape shape;
  shape.rows = 10, shape.epochs = 1;
  auto home = open(shape);
  Slot a{Incarnation(1)}, b{Incarnation(2)};
  a.join(*home, shape), b.join(*home, shape);
  a.lease = *home->lease(a.id);
  const auto wait = *home->lease(b.id);
  EXPECT_EQ(wait.kind, LeaseKind::kWait);
  EXPECT_EQ(wait.retry_ms, JobHome::kRetryMs);
  home->leave(a.id);
  EXPECT_EQ(home->lease(b.id)->kind, LeaseKind::kTrain);
  EXPECT_EQ(home->lease(a.id).error().code, Errc::kNotFound);
  EXPECT_EQ(home->gate(a.id).error().code, Errc::kNotFound);
  home->leave(a.id);
}

TEST(ChunkSchedule, TheOrderOfChunksChangesWithTheEpochAndTheSeedOnly) {
  const auto order = [](std::uint64_t seed) {
    ChunkSchedule schedule({1000, 10, 2, seed});
    std::array<std::vector<std::uint64_t>, 2> out;
    while (const auto piece = schedule.next()) out[piece->epoch].push_back(piece->first_row);
    return out;
  };
  EXPECT_EQ(order(1), order(1));
  EXPECT_NE(order(1)[0], order(1)[1]);
  EXPECT_NE(order(1)[0], order(2)[0]);
  auto sorted = order(1)[0];
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(sorted[i], i * 10);
}

TEST(ChunkSchedule, AKeptChunkStopsOthersOnlyAfterEightEpochs) {
  ChunkSchedule schedule({20, 10, 100, 1});
  const auto kept = *schedule.next();
  std::uint32_t handed_out = 1;
  while (const auto piece = schedule.next()) schedule.commit(piece->epoch, piece->rows), ++handed_out;
  EXPECT_EQ(handed_out, 2 * ChunkSchedule::kEpochsOpenMax);
  EXPECT_EQ(schedule.epochs_done(), 0U);
  schedule.commit(kept.epoch, kept.rows);
  EXPECT_EQ(schedule.epochs_done(), ChunkSchedule::kEpochsOpenMax);
  EXPECT_TRUE(schedule.next());
}

}  // namespace
}  // namespace sluice::server
