/// The vector clock under every registered controller, by exhaustive search: all interleavings of 3 slots × 4 clocks.

#include "server/vector_clock.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <unordered_set>

namespace sluice::server {
namespace {

constexpr int kSlots = 3;

/// What one client knows and does. It begins a clock only if it was told a gate that high.
enum class Phase { kOut, kPaused, kReady, kComputing };
struct Client {
  Phase phase = Phase::kOut;
  std::uint64_t clock = 0;
  std::uint64_t told = 0;
  int entered = 0;
};

struct World {
  VectorClock clocks;
  std::array<Client, kSlots> clients;

  [[nodiscard]] static Incarnation id(int i) { return Incarnation(static_cast<std::uint64_t>(i + 1)); }
  /// Gate messages arrive at once here; a lost one is asked for again by its client, which then sees the same gate.
  void deliver() {
    for (const GateRise& rise : clocks.take_rises()) clients[rise.client.value - 1].told = rise.gate;
  }
  /// What can happen from here depends on this only: job clocks count from the minimum, for a controller's gate moves with it.
  [[nodiscard]] std::string key() const {
    std::string out;
    for (int i = 0; i < kSlots; ++i) {
      const Client& c = clients[static_cast<std::size_t>(i)];
      out += fmt::format("{},{},{},{},", static_cast<int>(c.phase), c.clock, std::min<std::uint64_t>(c.told, 9), c.entered);
      out += clocks.has(id(i)) ? fmt::format("{} | ", static_cast<std::int64_t>(clocks.job_clock(id(i)) - clocks.minimum())) : "- | ";
    }
    return out;
  }
};

enum class Action { kEnter, kResume, kBegin, kCommit, kCommitAndPause, kPause, kLeave };
constexpr std::array kActions = {Action::kEnter, Action::kResume, Action::kBegin, Action::kCommit, Action::kCommitAndPause, Action::kPause, Action::kLeave};

struct Search {
  std::uint64_t bound;  ///< staleness; kNoGate: none
  bool pauses;          ///< also interleave losing and getting work
  std::uint64_t clocks = 4;
  int entries = 2;  ///< a slot that left comes back this often − 1
  std::size_t states = 0;
  std::size_t blocked = 0;

  [[nodiscard]] bool possible(const World& world, int i, Action action) const {
    const Client& c = world.clients[static_cast<std::size_t>(i)];
    const bool more = c.clock < clocks;
    switch (action) {
      case Action::kEnter:
        return c.phase == Phase::kOut && c.entered < entries;
      case Action::kResume:
        return c.phase == Phase::kPaused && more;
      case Action::kBegin:
        return c.phase == Phase::kReady && more && c.clock <= c.told;
      case Action::kCommit:
        return c.phase == Phase::kComputing;
      case Action::kCommitAndPause:
        return pauses && c.phase == Phase::kComputing;
      case Action::kPause:
        return pauses && c.phase == Phase::kReady;
      case Action::kLeave:
        return c.phase != Phase::kOut;  // also dies in the middle of a batch
    }
    return false;
  }

  void act(World& world, int i, Action action) const {
    Client& c = world.clients[static_cast<std::size_t>(i)];
    const Incarnation id = World::id(i);
    switch (action) {
      case Action::kEnter:
        c = {Phase::kPaused, world.clocks.enter(id), world.clocks.tell(id), c.entered + 1};
        ASSERT_EQ(c.clock, world.clocks.minimum());
        if (!pauses) world.clocks.resume(id), c.phase = Phase::kReady;
        break;
      case Action::kResume:
        world.clocks.resume(id), c.phase = Phase::kReady;
        break;
      case Action::kBegin:
        check_begin(world, i);
        c.phase = Phase::kComputing;
        break;
      case Action::kCommit:
      case Action::kCommitAndPause:
        world.clocks.commit(id);
        ++c.clock;
        c.phase = Phase::kReady;
        if (action == Action::kCommitAndPause) world.clocks.pause(id), c.phase = Phase::kPaused;
        c.told = world.clocks.tell(id);
        ASSERT_EQ(c.clock, world.clocks.clock(id));
        break;
      case Action::kPause:
        world.clocks.pause(id), c.phase = Phase::kPaused;
        break;
      case Action::kLeave:
        world.clocks.leave(id), c.phase = Phase::kOut;
        break;
    }
    world.deliver();
  }

  /// Staleness: no slot that works is more than the bound behind one that begins. Without pauses the clients' own clocks say it too, whatever the vector clock
  /// thinks.
  void check_begin(const World& world, int i) const {
    if (bound == kNoGate) return;
    const std::uint64_t mine = world.clocks.job_clock(World::id(i));
    for (int j = 0; j < kSlots; ++j) {
      const Client& other = world.clients[static_cast<std::size_t>(j)];
      if (other.phase != Phase::kReady && other.phase != Phase::kComputing) continue;
      ASSERT_LE(mine, world.clocks.job_clock(World::id(j)) + bound) << world.key();
      if (!pauses) { ASSERT_LE(world.clients[static_cast<std::size_t>(i)].clock, other.clock + bound) << world.key(); }
    }
  }

  /// Nobody waits for ever: unless some slot can begin or commit, every slot with work has done all its clocks.
  void check_alive(const World& world) {
    bool movable = false, waiting = false;
    for (int i = 0; i < kSlots; ++i) {
      const Client& c = world.clients[static_cast<std::size_t>(i)];
      const bool ends = pauses && c.phase == Phase::kReady && c.clock == clocks;  // its work is over: it pauses next
      movable = movable || ends || possible(world, i, Action::kBegin) || possible(world, i, Action::kCommit);
      waiting = waiting || (c.phase == Phase::kReady && c.clock < clocks && !possible(world, i, Action::kBegin));
    }
    blocked += waiting;
    ASSERT_TRUE(movable || !waiting) << world.key();
  }

  void run(std::shared_ptr<const ConsistencyController> controller) {
    std::unordered_set<std::string> seen;
    std::deque<World> open;
    open.push_back(World{VectorClock(std::move(controller)), {}});
    while (!open.empty() && !testing::Test::HasFatalFailure()) {
      const World world = std::move(open.front());
      open.pop_front();
      check_alive(world);
      for (int i = 0; i < kSlots; ++i) {
        for (const Action action : kActions) {
          if (!possible(world, i, action)) continue;
          World next = world;
          act(next, i, action);
          ASSERT_GE(next.clocks.minimum(), world.clocks.minimum());
          if (seen.insert(next.key()).second) open.push_back(std::move(next));
        }
      }
    }
    states = seen.size();
  }
};

class ControllerContract : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Registered, ControllerContract, testing::ValuesIn(builtin_controllers().names()), [](const auto& test) { return test.param; });

TEST_P(ControllerContract, TheSlowestMayAlwaysBeginAndTheGateNeverFalls) {
  for (const std::uint32_t s : {0U, 1U, 4U, 0xffffffffU}) {
    const auto controller = (**builtin_controllers().find(GetParam()))({proto::ConsistencyMode::kSsp, s});
    std::uint64_t last = 0;
    for (const std::uint64_t minimum : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 40, kNoGate - 3, kNoGate}) {
      EXPECT_GE(controller->gate(minimum), minimum);
      EXPECT_GE(controller->gate(minimum), last);
      last = controller->gate(minimum);
    }
  }
}

TEST_P(ControllerContract, StalenessIsNeverExceededAndNobodyWaitsForEverInAnyInterleaving) {
  for (const std::uint32_t s : {0U, 1U, 2U}) {
    const std::shared_ptr<const ConsistencyController> controller = (**builtin_controllers().find(GetParam()))({proto::ConsistencyMode::kSsp, s});
    Search search{controller->gate(0) == kNoGate ? kNoGate : s, false};
    search.run(controller);
    EXPECT_GT(search.states, 1000U);
    EXPECT_EQ(search.blocked > 0, search.bound != kNoGate) << "the search must meet slots that wait";
  }
}

TEST_P(ControllerContract, TheSameWithSlotsThatLoseAndGetWork) {
  const std::shared_ptr<const ConsistencyController> controller = (**builtin_controllers().find(GetParam()))({proto::ConsistencyMode::kSsp, 1});
  Search search{controller->gate(0) == kNoGate ? kNoGate : 1, true, 3, 1};
  search.run(controller);
  EXPECT_GT(search.states, 1000U);
}

TEST(VectorClock, ASlotWithoutWorkHoldsNobodyBack) {
  VectorClock clocks(make_ssp({proto::ConsistencyMode::kSsp, 1}));
  const Incarnation fast(1), idle(2);
  clocks.enter(fast), clocks.enter(idle);
  clocks.resume(fast), clocks.resume(idle);
  clocks.commit(fast), clocks.tell(fast);
  clocks.commit(fast), clocks.tell(fast);
  EXPECT_TRUE(clocks.take_rises().empty());
  clocks.pause(idle);  // the last chunks are with others: without this, `fast` would wait for one that waits for it
  const auto rises = clocks.take_rises();
  ASSERT_EQ(rises.size(), 1U);
  EXPECT_EQ(rises[0].client, fast);
  EXPECT_EQ(rises[0].gate, 3U);
  EXPECT_TRUE(clocks.take_rises().empty()) << "each is told once";
}

TEST(VectorClock, ASlotThatGoesOnAfterAPauseCountsItsOwnClocksWithoutHoles) {
  VectorClock clocks(make_ssp({proto::ConsistencyMode::kSsp, 2}));
  const Incarnation a(1), b(2);
  clocks.enter(a), clocks.enter(b), clocks.resume(a);
  for (int i = 0; i < 10; ++i) clocks.commit(a);
  EXPECT_EQ(clocks.clock(b), 0U);
  clocks.resume(b);
  EXPECT_EQ(clocks.clock(b), 0U);
  EXPECT_EQ(clocks.job_clock(b), 10U);
  EXPECT_EQ(clocks.gate(b), 2U);
  EXPECT_EQ(clocks.gate(a), 12U);
}

TEST(VectorClock, WithNoSlotsTheLastMinimumStays) {
  VectorClock clocks(make_asp({}));
  clocks.enter(Incarnation(1)), clocks.resume(Incarnation(1));
  for (int i = 0; i < 3; ++i) clocks.commit(Incarnation(1));
  clocks.leave(Incarnation(1));
  EXPECT_EQ(clocks.minimum(), 3U);
  EXPECT_EQ(clocks.enter(Incarnation(2)), 3U);
}

}  // namespace
}  // namespace sluice::server
