#pragma once
/// Valid headers of random content, one kind of body after the other: for codec tests. Deterministic from the seed.

#include <string>
#include <utility>

#include "base/rng.h"
#include "proto/messages.h"

namespace sluice::proto::detail {

class RandomHeader {
 public:
  explicit RandomHeader(std::uint64_t seed) : rng_(seed) {}

  /// `kind`: index of the Body's alternative.
  Header make(std::size_t kind) { return {envelope(), body(kind, std::make_index_sequence<std::variant_size_v<Body>>())}; }

 private:
  template <std::size_t... I>
  Body body(std::size_t kind, std::index_sequence<I...>) {
    Body out;
    (void)((kind == I && (out = fill(std::variant_alternative_t<I, Body>{}), true)) || ...);
    return out;
  }

  std::uint64_t u64() { return rng_.below(3) == 0 ? rng_.next() : rng_.below(1000); }
  std::uint32_t u32() { return static_cast<std::uint32_t>(u64()); }
  double number() { return (rng_.uniform() - 0.5) * 1e6; }
  bool coin() { return rng_.below(2) == 0; }
  std::string text() {
    std::string out(rng_.below(40), ' ');
    for (char& c : out) c = static_cast<char>(rng_.below(256));
    return out;
  }
  std::string name() { return "n" + std::to_string(rng_.below(1000)); }
  template <class E>
  E any(E last) {
    return static_cast<E>(rng_.below(static_cast<unsigned>(last) + 1U));
  }

  Envelope envelope() {
    return {
        kProtocolVersion, u64(), JobId(u64()), u32(), Incarnation(u64()), Term(u64()), DecisionId(u64()), RingVersion(u64()), coin() ? text() : std::string()};
  }
  std::vector<Section> sections() {
    std::vector<Section> out(rng_.below(rng_.below(20) == 0 ? kSectionsMax + 1 : 8));
    for (auto& s : out) {
      s = {TableId(u32()),
           ShardId(u32()),
           u64(),
           u64(),
           u32(),
           static_cast<std::uint32_t>(rng_.below(kSectionCountMax + 1)),
           u32(),
           any(Outcome::kFull),
           static_cast<std::uint8_t>(rng_.below(kCodecMax + 1U)),
           coin()};
    }
    return out;
  }
  TableSpec table() {
    TableSpec out;
    out.id = TableId(static_cast<std::uint32_t>(rng_.below(kTablesMax)));
    out.name = name();
    out.kind = any(TableKind::kSparse);
    out.rows = 1 + rng_.below(1'000'000);
    out.cols = static_cast<std::uint32_t>(1 + rng_.below(1024));
    out.buckets = out.kind == TableKind::kSparse ? 1U << rng_.below(10) : 0;
    out.init = {any(InitKind::kNormal), static_cast<float>(rng_.uniform())};
    out.seed = u64();
    out.holds = coin();
    out.optimizer.name = name();
    for (std::uint64_t i = rng_.below(4); i > 0; --i) out.optimizer.numbers[name()] = number();
    return out;
  }
  std::vector<TableSpec> tables() {
    std::vector<TableSpec> out(rng_.below(4));
    for (auto& t : out) t = table();
    return out;
  }

  Done fill(Done) { return {}; }
  Refused fill(Refused) { return {any(RefusalKind::kNotMember), text(), text(), text()}; }
  Push fill(Push) { return {any(PushKind::kAverage), any(AckLevel::kDurable), sections(), u64(), u64()}; }
  PushReply fill(PushReply) { return {sections(), text()}; }
  Pull fill(Pull) { return {sections()}; }
  PullReply fill(PullReply) { return {sections()}; }
  CreateTables fill(CreateTables) { return {tables(), {text(), coin()}}; }
  SaveJob fill(SaveJob) { return {name(), text()}; }
  Saved fill(Saved) { return {name(), u64(), coin(), number(), u64(), text(), text()}; }
  Apply fill(Apply) {
    Apply out{u64(), u64(), {}};
    for (std::uint64_t i = rng_.below(6); i > 0; --i) out.slots.push_back({Incarnation(u64()), 1 + rng_.below(1000), u32()});
    return out;
  }
  Join fill(Join) { return {text(), u64(), u64(), u64(), u32(), tables(), text(), u32()}; }
  JoinReply fill(JoinReply) { return {u64(), u64(), u64(), u64(), tables()}; }
  Leave fill(Leave) { return {u64(), u32()}; }
  LeaseRequest fill(LeaseRequest) { return {}; }
  LeaseReply fill(LeaseReply) {
    const auto rows = u32();
    return {any(LeaseKind::kPhase), u64(), u32(), u64(), rows, static_cast<std::uint32_t>(rng_.below(std::uint64_t{rows} + 1)), u32()};
  }
  Commit fill(Commit) { return {u64(), u64(), u64(), u32(), u32(), number(), number(), u64(), number(), coin(), u64()}; }
  CommitReply fill(CommitReply) { return {u64(), u64(), coin(), fill(LeaseReply{})}; }
  Gate fill(Gate) { return {u64()}; }
  EvaluateCommit fill(EvaluateCommit) { return {u64(), u64(), number(), number(), text(), number()}; }
  PhaseCommit fill(PhaseCommit) { return {u64(), u64(), coin(), text(), number()}; }
  Register fill(Register) {
    Register out{any(Role::kWorker), text(), text(), text(), {}, static_cast<std::uint32_t>(rng_.below(kWorkerSlotsMax + 1))};
    for (std::uint64_t i = rng_.below(5); i > 0; --i) out.lanes.push_back(text());
    return out;
  }
  Registered fill(Registered) {
    Registered out{u32(), u32(), u32(), {}, text()};
    for (std::uint64_t i = rng_.below(5); i > 0; --i) out.clients.emplace_back(u64());
    return out;
  }
  Heartbeat fill(Heartbeat) { return {u32(), any(Role::kWorker), u64()}; }
  HeartbeatReply fill(HeartbeatReply) { return {}; }
  SlotTableRequest fill(SlotTableRequest) { return {}; }
  SlotTableMessage fill(SlotTableMessage) { return {std::string(rng_.below(3) == 0 ? 300'000 : 10, 'x')}; }
  JobReport report() {
    return {JobId(u64()), u32(),    any(HomeState::kFinished),
            u64(),        u64(),    u64(),
            number(),     u64(),    u64(),
            number(),     number(), number(),
            number(),     u64(),    u64(),
            number(),     number(), text(),
            u64(),        text()};
  }
  Report fill(Report) {
    Report out{u32(), {}};
    for (std::uint64_t i = rng_.below(5); i > 0; --i) out.jobs.push_back(report());
    return out;
  }
  EndJob fill(EndJob) { return {coin() ? name() : std::string()}; }
  Grant fill(Grant) {
    Grant out{text(), {}};
    for (std::uint64_t i = rng_.below(5); i > 0; --i) {
      out.assignments.push_back({WorkerSlot(u32()), JobId(u64()), u32(), DecisionId(u64()), Instant{static_cast<std::int64_t>(rng_.next())}, text()});
    }
    return out;
  }
  Moved fill(Moved) {
    return {u32(), WorkerSlot(u32()), JobId(u64()), JobId(u64()), number(), number(), number(), coin(), number(), number(), number(), number()};
  }
  JobFault fill(JobFault) { return {u32(), text(), text()}; }
  Call fill(Call) { return {text(), text()}; }
  CallReply fill(CallReply) { return {text()}; }

  SeededRng rng_;
};

}  // namespace sluice::proto::detail
