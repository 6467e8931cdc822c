/// One slot and its client against lanes and homes that check the protocol: what is trained, when, and what is said about it.

#include "worker/slot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "worker/detail/fake_cluster.h"

namespace sluice::worker {
namespace {

using fake::Cluster;
using fake::ModelScript;

constexpr JobId kFirst{7}, kOther{8};

std::shared_ptr<ModelScript> small(bool sparse = true) {
  auto script = std::make_shared<ModelScript>();
  script->dense_floats = 200;
  script->sparse = sparse;
  return script;
}

TEST(Slot, TrainsEveryRowOfEveryEpochOnceAndEvaluates) {
  for (const bool sparse : {true, false}) {
    Cluster cluster({.slots = 1});
    auto script = std::make_shared<ModelScript>();
    script->sparse = sparse;
    cluster.add_model("count", script);
    cluster.order(0, kFirst, Cluster::job("count", 650, 16, 2));
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    cluster.expect_exactly_once(kFirst, 650, 2);
    const auto& home = cluster.home(kFirst);
    EXPECT_EQ(home.scored, 50U);
    EXPECT_DOUBLE_EQ(home.metric_sum, 50.0 * static_cast<double>(home.commits.size())) << "held-out rows are scored at the final values";
    EXPECT_EQ(cluster.world.repeats, 0U);
    EXPECT_EQ(home.joins, 1U);
    EXPECT_EQ(home.leaves, 1U);
  }
}

TEST(Slot, ManySlotsShareAJobWithoutLosingOrRepeatingARow) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    Cluster cluster({.seed = seed, .lanes = 3, .slots = 4});
    cluster.add_model("count", small());
    for (std::uint32_t s = 0; s < 4; ++s) cluster.order(s, kFirst, Cluster::job("count", 2000, 8, 2));
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); })) << seed;
    cluster.expect_exactly_once(kFirst, 2000, 2);
    EXPECT_EQ(cluster.home(kFirst).joins, 4U);
  }
}

/// Lost, repeated, reordered and late messages between slots and lanes: numbers stay without holes, what is sent again is identical (the lanes check both), and
/// nothing counts twice.
class SlotFaults : public testing::TestWithParam<std::uint64_t> {};
TEST_P(SlotFaults, EveryRowCountsOnce) {
  Cluster::Options options{.seed = GetParam(), .lanes = 1 + static_cast<std::uint32_t>(GetParam() % 2), .slots = 2};
  options.faults.drop = 0.05;
  options.faults.repeat = 0.05;
  options.faults.reorder = 0.1;
  options.faults.delay_max = from_ms(3);
  options.call_deadline = from_ms(60'000);
  Cluster cluster(options);
  cluster.add_model("count", small());
  for (std::uint32_t s = 0; s < 2; ++s) cluster.order(s, kFirst, Cluster::job("count", 400, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }, 3000)) << GetParam();
  cluster.expect_exactly_once(kFirst, 400, 1);
  EXPECT_GT(cluster.world.repeats, 0U) << "the faults did nothing: then this shows nothing";
  EXPECT_TRUE(cluster.news<FaultNews>().empty());
}
INSTANTIATE_TEST_SUITE_P(Seeds, SlotFaults, testing::Range<std::uint64_t>(1, 24));

TEST(Slot, MovesAtABatchBoundaryAndGivesItsLeaseBack) {
  Cluster cluster({.slots = 2});
  cluster.add_model("count", small());
  const auto spec = Cluster::job("count", 4000, 8);
  cluster.order(0, kFirst, spec);
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  cluster.order(0, kOther, Cluster::job("count", 800, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kOther) && cluster.home(kOther).commits.size() > 3; }));
  EXPECT_TRUE(cluster.home(kFirst).members.empty());
  EXPECT_TRUE(cluster.home(kFirst).out.empty());
  EXPECT_LE(cluster.home(kFirst).commits.size(), 7U) << "at most what was under way";
  const auto moves = cluster.news<proto::Moved>();
  ASSERT_EQ(moves.size(), 2U);
  EXPECT_EQ(moves[0].from, JobId{});
  EXPECT_EQ(moves[0].to, kFirst);
  EXPECT_TRUE(moves[0].cold);
  EXPECT_EQ(moves[1].from, kFirst);
  EXPECT_EQ(moves[1].to, kOther);
  EXPECT_GT(moves[1].stall_ms, 0);
  EXPECT_GE(moves[1].total_ms, moves[1].stall_ms);
  EXPECT_NEAR(moves[1].total_ms, moves[1].batch_wait_ms + moves[1].stall_ms, 0.01);
  for (const auto& move : moves) {
    EXPECT_NEAR(move.open_ms + move.lease_ms + move.pull_ms + move.gradient_ms, move.stall_ms, 1e-6);
    for (const double part : {move.open_ms, move.lease_ms, move.pull_ms, move.gradient_ms}) EXPECT_GE(part, 0);
  }
  EXPECT_GT(moves[1].lease_ms, 0) << "messages there and back";
  // Another slot takes the first job up; then the first slot comes back to it, its numbers going on where they were.
  cluster.order(1, kFirst, spec);
  cluster.run_for(0.01);
  cluster.order(0, kFirst, spec);
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  cluster.expect_exactly_once(kFirst, 4000, 1);
  cluster.order(0, kOther, Cluster::job("count", 800, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kOther); }));
  cluster.expect_exactly_once(kOther, 800, 1);
  EXPECT_FALSE(cluster.news<proto::Moved>().back().cold && cluster.news<proto::Moved>().back().to == kFirst) << "the data was open";
}

TEST(Slot, SwitchingBackAndForthUnderFaultsLosesNothing) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    Cluster::Options options{.seed = seed, .lanes = 2, .slots = 2};
    options.faults.drop = 0.02;
    options.faults.repeat = 0.02;
    options.faults.delay_max = from_ms(1);
    options.call_deadline = from_ms(60'000);
    Cluster cluster(options);
    cluster.add_model("count", small());
    const auto a = Cluster::job("count", 600, 8), b = Cluster::job("count", 500, 8);
    for (int i = 0; i < 12; ++i) {
      cluster.order(0, i % 2 == 0 ? kFirst : kOther, i % 2 == 0 ? a : b);
      cluster.order(1, i % 3 == 0 ? kOther : kFirst, i % 3 == 0 ? b : a);
      cluster.run_for(0.06);
    }
    cluster.order(0, kFirst, a);
    cluster.order(1, kOther, b);
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst) && cluster.finished(kOther); }, 2000))
        << seed << cluster.describe(kFirst) << cluster.describe(kOther);
    cluster.expect_exactly_once(kFirst, 600, 1);
    cluster.expect_exactly_once(kOther, 500, 1);
  }
}

/// With dense floats that count batches, what a slot reads at its clock c under a bound s must hold every update that all slots made before clock c − s.
TEST(Slot, SspNeverReadsValuesStalerThanTheBound) {
  for (const std::uint32_t bound : {0U, 1U, 2U, 4U}) {
    Cluster cluster({.seed = bound + 3, .lanes = 2, .slots = 1});
    auto script = small();
    cluster.add_model("count", script);
    auto spec = Cluster::job("count", 1600, 8);
    spec.consistency = {proto::ConsistencyMode::kSsp, bound};
    cluster.order(0, kFirst, spec);
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); })) << bound;
    cluster.expect_exactly_once(kFirst, 1600, 1);
    for (const auto& [clock, value] : script->seen) { EXPECT_GE(value + static_cast<float>(bound), static_cast<float>(clock)) << "bound " << bound; }
  }
}

/// The pull of batch c + 2 goes out with the push of batch c, and behind it: whatever is read misses no more than the slot's own latest update.
TEST(Slot, ReadsItsOwnUpdatesButTheLatest) {
  for (const std::uint32_t lanes : {1U, 2U}) {
    Cluster cluster({.lanes = lanes});
    auto script = small(false);
    cluster.add_model("count", script);
    cluster.order(0, kFirst, Cluster::job("count", 800, 8));
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    ASSERT_EQ(script->seen.size(), 100U);
    for (const auto& [batch, value] : script->seen) { EXPECT_GE(value + 1, static_cast<float>(batch)) << lanes; }
  }
}

/// How long a batch takes decides whether values are read ahead; what was scored between two batches is no part of it.
TEST(Slot, AnEvaluationIsNoBatchsTime) {
  const auto seen_with = [](Duration evaluation) {
    Cluster cluster({.lanes = 1});
    auto script = small(false);
    script->before_update = [&](std::uint64_t) { cluster.clock.advance(from_ms(5)); };
    script->before_evaluate = [&] { cluster.clock.advance(evaluation); };
    cluster.add_model("count", script);
    cluster.order(0, kFirst, Cluster::job("count", 10'000, 10));
    EXPECT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst); }));
    // A scoring after ten batches, told with the answer to the last one's commit: in the middle of the first block that is measured.
    auto& home = cluster.home(kFirst);
    home.free.clear();
    const auto lease = [&](proto::LeaseKind kind, std::uint64_t first, std::uint32_t rows) {
      proto::LeaseReply& next = home.free.emplace_back();
      next.kind = kind, next.lease = home.next_lease++, next.first_row = first, next.rows = rows;
    };
    lease(proto::LeaseKind::kTrain, 0, 100);
    lease(proto::LeaseKind::kEvaluate, 0, 20);
    lease(proto::LeaseKind::kTrain, 100, 9900);
    EXPECT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }, 100'000)) << cluster.describe(kFirst);
    EXPECT_EQ(home.scored, 20U);
    return script->seen;
  };
  const auto quick = seen_with({}), long_ones = seen_with(from_seconds(30));
  EXPECT_EQ(quick.size(), 1000U);
  const auto read_ahead = std::count_if(quick.begin(), quick.end(), [](const auto& batch) { return batch.second < static_cast<float>(batch.first); });
  EXPECT_GT(read_ahead, 0) << "it was tried";
  EXPECT_EQ(quick, long_ones);
}

/// clip bounds the norm of a batch's whole update, over all its tables: here 203 ones.
TEST(Slot, ClipsTheWholeUpdateToItsNorm) {
  for (const double most : {std::sqrt(203.0) / 4, 15.0}) {
    Cluster cluster({.lanes = 2});
    cluster.add_model("count", small(false));
    auto spec = Cluster::job("count", 320, 8);
    spec.optimizer.numbers["clip"] = most;
    cluster.order(0, kFirst, spec);
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    const float expected = most < 15 ? 40 / 4.0F : 40;
    for (const auto& [id, shard] : cluster.world.shards) {
      for (const float value : shard.dense) ASSERT_NEAR(value, expected, 1e-4) << "table " << std::get<1>(id).value;
    }
  }
}

/// Only who has the data knows a job's last step.
TEST(Slot, ACosineOverTheWholeJobEndsAtItsLastStep) {
  for (const double said : {0.0, 7.0}) {
    Cluster cluster({});
    cluster.add_model("count", small());
    auto spec = Cluster::job("count", 330, 8, 3);
    spec.optimizer.numbers["schedule.steps"] = said;
    cluster.order(0, kFirst, spec);
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    for (const auto& table : cluster.home(kFirst).opened.tables) EXPECT_EQ(table.optimizer.number("schedule.steps", -1), said == 0 ? 42 * 3 : 7);
  }
}

TEST(Slot, SspHoldsBetweenSlotsAndNobodyWaitsForEver) {
  for (const std::uint32_t bound : {0U, 1U, 3U}) {
    for (const bool gates : {true, false}) {
      Cluster cluster({.seed = 5 + bound, .lanes = 2, .slots = 3});
      cluster.world.send_gates = gates;
      std::vector<std::shared_ptr<ModelScript>> scripts;
      auto spec = Cluster::job("count", 480, 8);
      spec.consistency = {proto::ConsistencyMode::kSsp, bound};
      auto script = small();
      cluster.add_model("count", script);
      for (std::uint32_t s = 0; s < 3; ++s) cluster.order(s, kFirst, spec);
      ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }, 600)) << bound << gates;  // the home says when a commit is beyond the bound
      cluster.expect_exactly_once(kFirst, 480, 1);
      if (!gates && bound == 0) { EXPECT_GT(cluster.world.gate_questions, 0U); }
    }
  }
}

TEST(Slot, AModelThatThrowsFailsOnlyItsJob) {
  Cluster cluster({.slots = 2});
  auto bad = small();
  bad->before_update = [](std::uint64_t batch) {
    if (batch == 4) throw std::runtime_error("matrix is singular");
  };
  cluster.add_model("bad", bad);
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("bad", 640, 8));
  cluster.order(1, kOther, Cluster::job("count", 640, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kOther); }));
  cluster.expect_exactly_once(kOther, 640, 1);
  const auto faults = cluster.news<FaultNews>();
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0].job, kFirst);
  EXPECT_EQ(faults[0].code, "job_failed");
  EXPECT_NE(faults[0].what.find("matrix is singular"), std::string::npos);
  EXPECT_TRUE(cluster.home(kFirst).members.empty()) << "it left";
  EXPECT_EQ(cluster.home(kFirst).commits.size(), 4U) << "what was computed before is committed";
  cluster.order(0, kOther, Cluster::job("count", 640, 8));
  cluster.run_for(1);
  EXPECT_EQ(cluster.news<FaultNews>().size(), 1U);
}

TEST(Slot, ALossOrGradientThatIsNoNumberFailsTheJobInWords) {
  {
    Cluster cluster({});
    auto script = small();
    script->loss_is_nan = true;
    cluster.add_model("count", script);
    cluster.order(0, kFirst, Cluster::job("count"));
    cluster.run_for(1);
    ASSERT_EQ(cluster.news<FaultNews>().size(), 1U);
    EXPECT_NE(cluster.news<FaultNews>()[0].what.find("loss is not finite"), std::string::npos);
    EXPECT_EQ(cluster.world.pushes, 0U);
  }
  {
    Cluster cluster({});
    auto script = small();
    script->gradient_is_nan = true;
    cluster.add_model("count", script);
    cluster.order(0, kFirst, Cluster::job("count"));
    cluster.run_for(1);
    ASSERT_EQ(cluster.news<FaultNews>().size(), 1U);
    EXPECT_EQ(cluster.news<FaultNews>()[0].what, "the update holds a NaN");
    EXPECT_EQ(cluster.home(kFirst).commits.size(), 0U);
  }
}

TEST(Slot, BadDataAndUnknownModelsAreFaultsAndANewDecisionTriesAgain) {
  Cluster cluster({});
  cluster.add_model("count", small());
  auto spec = Cluster::job("count");
  spec.data.name = "missing";
  cluster.order(0, kFirst, spec);
  cluster.run_for(0.1);
  ASSERT_EQ(cluster.news<FaultNews>().size(), 1U);
  EXPECT_EQ(cluster.news<FaultNews>()[0].code, "bad_data");
  cluster.order(0, kFirst, Cluster::job("cuont"));
  cluster.run_for(0.1);
  ASSERT_EQ(cluster.news<FaultNews>().size(), 2U);
  EXPECT_NE(cluster.news<FaultNews>()[1].what.find("did you mean 'count'"), std::string::npos);
  cluster.order(0, kFirst, Cluster::job("count"));
  EXPECT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
}

TEST(Slot, AServerThatDoesNotAnswerIsNamed) {
  Cluster cluster({.call_deadline = from_ms(3000)});
  cluster.add_model("count", small());
  cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
    if (std::holds_alternative<proto::Push>(header.body) && cluster.world.pushes > 20) return std::optional<proto::Body>();
    return std::nullopt;
  };
  cluster.order(0, kFirst, Cluster::job("count"));
  const Instant begin = cluster.clock.now();
  ASSERT_TRUE(cluster.run([&] { return !cluster.news<FaultNews>().empty(); }, 20));
  EXPECT_LT((cluster.clock.now() - begin).seconds(), 4);
  const auto fault = cluster.news<FaultNews>()[0];
  EXPECT_EQ(fault.code, "timed_out");
  EXPECT_NE(fault.what.find("inproc://lane-"), std::string::npos) << fault.what;
  EXPECT_NE(fault.what.find("push"), std::string::npos) << fault.what;
}

TEST(Slot, ABatchThatTakesLongIsNobodysSilence) {
  Cluster cluster({.call_deadline = from_ms(3000)});
  const auto script = small();
  script->before_update = [&](std::uint64_t) { cluster.clock.advance(from_seconds(30)); };
  cluster.add_model("count", script);
  std::uint64_t pulls = 0;
  cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
    if (!std::holds_alternative<proto::Pull>(header.body) || ++pulls % 2 == 0) return std::nullopt;
    return proto::Refused{proto::RefusalKind::kBehind, "", "", ""};  // so that it is still to be sent again when the batch is done
  };
  cluster.order(0, kFirst, Cluster::job("count"));
  EXPECT_TRUE(cluster.run([&] { return cluster.finished(kFirst) || !cluster.news<FaultNews>().empty(); }, 3000));
  EXPECT_TRUE(cluster.finished(kFirst)) << cluster.describe(kFirst);
  EXPECT_GT(script->batches, 30U);
}

TEST(Slot, ScoresThatTookLongAreCommittedAtOnce) {
  Cluster cluster({});
  const auto script = small();
  Instant scored;
  script->before_evaluate = [&] {
    cluster.clock.advance(from_seconds(30));
    scored = cluster.clock.now();
  };
  cluster.add_model("count", script);
  cluster.order(0, kFirst, Cluster::job("count"));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }, 3000)) << cluster.describe(kFirst);
  ASSERT_GT(script->scored, 0U);
  EXPECT_LT((cluster.clock.now() - scored).seconds(), 1);
}

TEST(Slot, FollowsANewSlotTableInTheMiddleOfTraining) {
  for (const bool tell : {true, false}) {
    Cluster cluster({.lanes = 3, .slots = 2});
    cluster.world.tell_table = tell;
    cluster.add_model("count", small());
    for (std::uint32_t s = 0; s < 2; ++s) cluster.order(s, kFirst, Cluster::job("count", 1000, 8));
    ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() > 10; }));
    cluster.world.publish(1);  // every shard and the home move on
    cluster.run_for(0.05);
    (void)cluster.news<FaultNews>();
    if (!tell) {
      EXPECT_TRUE(cluster.table_wanted.has_value()) << "somebody asks the manager";
      EXPECT_LT(cluster.world.wrong_owner, 300U) << "nobody spins";
      for (const auto& inbox : cluster.inboxes) inbox->put(std::make_shared<const proto::SlotTable>(cluster.world.table));
    }
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); })) << tell;
    cluster.expect_exactly_once(kFirst, 1000, 1);
    EXPECT_GT(cluster.world.wrong_owner, 0U);
  }
}

TEST(Slot, LanesThatLostTheTablesGetThemAgain) {
  Cluster cluster({});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count"));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  cluster.world.created.clear();
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  cluster.expect_exactly_once(kFirst, 640, 1);
}

TEST(Slot, AnExpiredMembershipIsLeftAtOnceAndANewOneBeginsAnew) {
  Cluster cluster({});
  cluster.add_model("count", small());
  const auto spec = Cluster::job("count");
  cluster.order(0, kFirst, spec);
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  cluster.world.expired.insert(Incarnation(100));
  cluster.run_for(0.1);
  (void)cluster.news<FaultNews>();
  ASSERT_FALSE(cluster.lost.empty());
  EXPECT_EQ(cluster.lost[0], Incarnation(100));
  EXPECT_TRUE(cluster.news<FaultNews>().empty()) << "the job did nothing wrong";
  // What the home does when an incarnation is expired.
  auto& home = cluster.home(kFirst);
  for (auto& [id, lease] : home.out) home.free.push_front(lease);
  home.out.clear();
  home.members.clear();
  cluster.inboxes[0]->put(Incarnation(200));
  cluster.order(0, kFirst, spec);
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  for (std::uint64_t r = 0; r < 640; ++r) ASSERT_EQ((home.trained[{0, r}]), 1);
}

TEST(Slot, StopFinishesTheBatchLeavesAndEnds) {
  Cluster cluster({.slots = 2});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count", 4000, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  for (const auto& inbox : cluster.inboxes) inbox->stop();
  ASSERT_TRUE(cluster.run([&] { return ((void)cluster.news<FaultNews>(), cluster.slots_ended == 2); }, 2));
  EXPECT_TRUE(cluster.home(kFirst).members.empty());
  EXPECT_TRUE(cluster.home(kFirst).out.empty());
}

TEST(Slot, StopEndsWithinItsPatienceThoughNobodyAnswers) {
  Cluster cluster({});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count", 4000, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  cluster.executor.kill("lane");
  cluster.inboxes[0]->stop();
  EXPECT_TRUE(cluster.run([&] { return ((void)cluster.news<FaultNews>(), cluster.slots_ended == 1); }, 2.5));
}

TEST(Slot, AFinishedJobIsNotBegunAgainByTheSameDecision) {
  Cluster cluster({});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count"));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  cluster.run_for(1);
  EXPECT_EQ(cluster.home(kFirst).joins, 1U);
  cluster.order(0, kFirst, Cluster::job("count"));  // a manager that has not heard yet
  cluster.run_for(1);
  EXPECT_EQ(cluster.home(kFirst).joins, 2U);
  EXPECT_EQ(cluster.home(kFirst).leaves, 2U);
}

TEST(Slot, AJobThatEndedElsewhereIsLeftWithoutAFault) {
  Cluster cluster({});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count", 4000, 8));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  std::uint64_t refused = 0;
  cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
    if (header.envelope.job != kFirst) return std::nullopt;
    ++refused;
    return proto::Refused{proto::RefusalKind::kError, "not_found", "job 7 has ended", ""};
  };
  cluster.run_for(5);
  EXPECT_LT(refused, 12U) << "it tries once more and then waits";
  EXPECT_TRUE(cluster.news<FaultNews>().empty());
  cluster.order(0, kOther, Cluster::job("count"));
  EXPECT_TRUE(cluster.run([&] { return cluster.finished(kOther); }));
}

TEST(Slot, ASlotThatItsHomeForgotJoinsAgain) {
  Cluster cluster({});
  cluster.add_model("count", small());
  cluster.order(0, kFirst, Cluster::job("count"));
  ASSERT_TRUE(cluster.run([&] { return cluster.world.homes.contains(kFirst) && cluster.home(kFirst).commits.size() == 5; }));
  bool once = false;
  cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
    if (once || !std::holds_alternative<proto::Commit>(header.body)) return std::nullopt;
    once = true;
    return proto::Refused{proto::RefusalKind::kError, "not_found", "client 100 is not in job 7: join first", ""};
  };
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  EXPECT_TRUE(cluster.news<FaultNews>().empty());
  EXPECT_EQ(cluster.home(kFirst).joins, 2U);
}

/// What is applied but not committed when a worker dies is applied again by somebody else: never more than one batch. So a push goes out behind a commit
/// that is still unanswered only where they can't overtake each other.
TEST(Slot, PushesBehindAnUnansweredCommitOnlyOnTheSameLane) {
  for (const std::uint32_t lanes : {1U, 2U}) {
    Cluster cluster({.lanes = lanes});
    cluster.add_model("count", small());
    std::uint64_t commits = 0, pushed = 0, behind = 0;
    bool silent = false;
    cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
      if (std::holds_alternative<proto::Commit>(header.body)) {
        silent = ++commits == 3;
        if (silent) return std::optional<proto::Body>();
      } else if (const auto* push = std::get_if<proto::Push>(&header.body)) {
        for (const auto& section : push->sections) pushed = std::max(pushed, section.sequence);
        if (silent) ++behind;
        EXPECT_LE(pushed, commits + 1) << "two batches are applied and not committed";
      }
      return std::nullopt;
    };
    cluster.order(0, kFirst, Cluster::job("count", 2560, 8));
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    EXPECT_EQ(commits, 2560 / 8 + 1) << "one was asked again";
    EXPECT_EQ(behind, lanes == 1 ? 1U : 0U);
    cluster.expect_exactly_once(kFirst, 2560, 1);
  }
}

/// A shard's primary changes under a batch: part of it may be applied, but it is computed again before it is committed.
TEST(Slot, ABatchFromASupersededShardIsRedone) {
  for (const auto& [lanes, sparse] : {std::pair(1U, true), std::pair(1U, false), std::pair(3U, true), std::pair(3U, false)}) {
    Cluster cluster({.lanes = lanes, .slots = 2});
    auto script = small(sparse);
    cluster.add_model("count", script);
    int stale = 0;
    std::uint64_t pushes = 0;
    cluster.world.intercept = [&](std::uint32_t, const proto::Header& header) -> std::optional<std::optional<proto::Body>> {
      const auto* push = std::get_if<proto::Push>(&header.body);
      if (push == nullptr || ++pushes % 13 != 0 || stale >= 5) return std::nullopt;
      ++stale;
      proto::PushReply reply;
      for (auto section : push->sections) {
        section.outcome = proto::Outcome::kStaleTerm;
        reply.sections.push_back(section);
      }
      return std::optional<proto::Body>(reply);
    };
    for (std::uint32_t s = 0; s < 2; ++s) cluster.order(s, kFirst, Cluster::job("count", 640, 8));
    ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
    EXPECT_EQ(stale, 5);
    EXPECT_TRUE(cluster.news<FaultNews>().empty());
    for (std::uint64_t r = 0; r < 640; ++r) ASSERT_EQ((cluster.home(kFirst).trained[{0, r}]), 1);
    EXPECT_GE(script->batches, 640 / 8 + 5);
  }
}

TEST(Slot, PullsOnlyWhatChanged) {
  Cluster cluster({});
  auto script = small(false);
  cluster.add_model("count", script);
  cluster.order(0, kFirst, Cluster::job("count", 160, 16));
  ASSERT_TRUE(cluster.run([&] { return cluster.finished(kFirst); }));
  const auto& home = cluster.home(kFirst);
  EXPECT_EQ(home.scored, 50U);
  EXPECT_LE(cluster.world.pulls_modified, 2 * (home.commits.size() + 2)) << "two dense shards; the three evaluation batches find them unchanged";
}

}  // namespace
}  // namespace sluice::worker
