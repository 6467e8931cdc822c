#pragma once
/// A crowd of slots around a job home, with phases or without, and the lanes that apply what it says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "server/detail/home_client_test.h"

namespace sluice::server {

/// Slots that do everything in a random order, each answer sometimes lost; and the lanes, which apply some time later.
struct HomeCrowd {
  HomeCrowd(const Shape& s, std::size_t slots, std::uint64_t seed)
      : shape(s), home(open(s)), rng(seed), slots_(slots), trained(std::max(s.phases, s.epochs), std::vector<int>(s.rows)) {
    for (Slot& slot : slots_) slot.id = Incarnation(next_id++);
  }
  [[nodiscard]] bool bsp() const { return shape.consistency.mode == proto::ConsistencyMode::kBsp; }
  [[nodiscard]] std::size_t out(proto::LeaseKind kind) const {
    return static_cast<std::size_t>(
        std::count_if(slots_.begin(), slots_.end(), [&](const Slot& s) { return s.in && s.lease.lease != 0 && s.lease.kind == kind; }));
  }

  void train(Slot& slot) {
    if (shape.phases > 0) { ASSERT_EQ(slot.lease.epoch, applied) << "a pass begins before the one before has ended"; }
    if (slot.clock > slot.gate) return;
    auto commit = slot.next_commit(static_cast<std::uint32_t>(1 + rng.below(60)), rng.below(2) == 0);
    commit.batch = ++batches;
    const auto reply = home->commit(slot.id, commit, Instant{1});
    ASSERT_TRUE(reply) << reply.error().what;
    for (std::uint32_t i = commit.offset - commit.examples; i < commit.offset; ++i) ++trained[slot.lease.epoch][slot.lease.first_row + i];
    open_rows += commit.examples;
    ++slot.clock, ++slot.sequence;
    slot.lease.offset = commit.offset, slot.gate = reply->gate;
    if (slot.lease.offset == slot.lease.rows) slot.lease = {};
    if (reply->has_lease) slot.lease = reply->lease, check(slot);
  }
  void end_phase(Slot& slot) {
    const bool done = ends_at && slot.lease.epoch == *ends_at;
    const proto::PhaseCommit commit{slot.lease.lease, ++batches, done, done ? "nothing moved" : "", 0.5};
    const auto reply = home->phase_commit(slot.id, commit, Instant{1});
    ASSERT_TRUE(reply) << reply.error().what;
    ASSERT_TRUE(home->phase_commit(slot.id, {slot.lease.lease, batches + 1000, !done, "", 0}, Instant{1})) << "a repeat counts once";
    committed = {slot.id, batches, 1};
    applying = true;
    slot.lease = {};
  }
  /// What was just leased.
  void check(const Slot& slot) {
    if (slot.lease.lease == 0 || shape.phases == 0) return;
    ASSERT_FALSE(applying) << "work is given out while an end is on its way";
    if (slot.lease.kind == proto::LeaseKind::kPhase) {
      ASSERT_EQ(slot.lease.epoch, applied);
      ASSERT_THAT(trained[applied], testing::Each(1)) << "it ends before all of its rows are committed";
      ASSERT_EQ(out(proto::LeaseKind::kPhase), 1U);
      ASSERT_TRUE(!clock) << "before the last clock is applied";
    } else {
      ASSERT_EQ(out(proto::LeaseKind::kPhase), 0U);
    }
    ASSERT_TRUE(out(proto::LeaseKind::kTrain) == 0 || out(proto::LeaseKind::kEvaluate) == 0) << "a scoring sees one phase's parameters";
    if (slot.lease.kind == proto::LeaseKind::kEvaluate) { ASSERT_EQ(open_rows, 0U) << "a scoring in the middle of a pass"; }
  }
  void apply() {
    if (clock && rng.below(3) == 0) {
      home->applied(*clock + 1);  // not that one
      home->applied(*clock);
      if (std::exchange(applying, false)) ++applied, open_rows = 0;
      clock.reset();
    }
    if (const auto next = home->take_apply()) {
      ASSERT_FALSE(clock);
      clock = next->clock;
      ASSERT_EQ(next->clock, clocks++) << "lanes take them in order";
      if (committed) { ASSERT_THAT(next->slots, testing::ElementsAre(*std::exchange(committed, {}))); }
    }
  }
  void step(Slot& slot) {
    apply();
    if (closed && home->waits(slot.id)) return;  // a lane puts off what it asks
    if (!slot.in) return slot.join(*home, shape);
    if (rng.below(40) == 0) return home->leave(slot.id), slot.in = false, slot.lease = {}, void();
    if (rng.below(60) == 0) {
      if (slot.lease.kind == proto::LeaseKind::kPhase && slot.lease.lease != 0) ++phases_lost;
      home->expire([&](Incarnation id) { return id == slot.id; });
      slot = {Incarnation(next_id++)};
      return;
    }
    if (slot.lease.lease == 0) {
      const auto lease = home->lease(slot.id);
      ASSERT_TRUE(lease) << lease.error().what;
      slot.lease = *lease;
      if (rng.below(4) == 0 && lease->lease != 0) { ASSERT_EQ(*home->lease(slot.id), *lease) << "asking twice gives one lease"; }
      slot.gate = home->gate(slot.id)->clock;
      return check(slot);
    }
    if (slot.lease.kind == proto::LeaseKind::kTrain) return train(slot);
    if (slot.lease.kind == proto::LeaseKind::kPhase) return end_phase(slot);
    ASSERT_TRUE(home->evaluate_commit(slot.id, {slot.lease.lease, slot.lease.rows, score * slot.lease.rows, 0, "inertia", 0}, Instant{1}));
    slot.lease = {};
  }
  void run(int steps = 400'000) {
    for (int i = 0; i < steps && home->state() != proto::HomeState::kFinished && !testing::Test::HasFatalFailure() && !(closed && home->quiet()); ++i) {
      step(slots_[rng.below(slots_.size())]);
      for (const GateRise& rise : home->take_gate_rises()) {
        for (Slot& slot : slots_) {
          if (slot.id == rise.client) slot.gate = std::max(slot.gate, rise.gate);
        }
      }
    }
  }

  Shape shape;
  std::unique_ptr<JobHome> home;
  SeededRng rng;
  std::vector<Slot> slots_;
  std::vector<std::vector<int>> trained;
  std::optional<std::uint32_t> ends_at;  ///< the phase that says that training is over
  double score = 0.5;
  std::uint64_t next_id = 1, batches = 0, clocks = 0, open_rows = 0;
  std::uint32_t applied = 0;           ///< phases
  std::optional<std::uint64_t> clock;  ///< on its way to the lanes
  bool applying = false;               ///< it is a phase's
  std::optional<proto::ApplySlot> committed;
  int phases_lost = 0;
  bool closed = false;  ///< the home's gate is, for a checkpoint
};

inline Shape phased_shape(std::uint64_t seed) {
  Shape shape;
  shape.rows = 200 + 37 * (seed % 7), shape.chunk_rows = static_cast<std::uint32_t>(16 + seed * 3 % 90), shape.epochs = 1;
  shape.phases = 1 + static_cast<std::uint32_t>(seed % 4);
  shape.test_rows = seed % 3 == 0 ? 0 : 100 * (seed % 3);
  constexpr proto::ConsistencyMode kModes[] = {proto::ConsistencyMode::kAsp, proto::ConsistencyMode::kSsp, proto::ConsistencyMode::kBsp};
  shape.consistency = {kModes[seed / 4 % 3], seed / 4 % 3 == 1 ? static_cast<std::uint32_t>(seed % 3) : 0};
  return shape;
}

}  // namespace sluice::server
