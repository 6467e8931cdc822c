#pragma once
/// A job's vector clock: one clock a worker slot, and what the consistency controller makes of them. One thread.
///
/// A slot counts in the minimum while it is *working* (it holds a training lease). One that waits for work, evaluates, or has just joined and still loads holds
/// nobody back: it has no update under way. When it is given work again it goes on at the minimum if that passed it by. That jump is the home's business: a
/// client counts its own clocks without holes, and everything here that takes or gives a client's clock is in the client's own count. A stale read can't come
/// of it: the slot's earlier updates are all committed, and its later ones carry the later clock.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "server/consistency/controller.h"

namespace sluice::server {

/// A slot that was shut out and may begin its next clock now.
struct GateRise {
  Incarnation client;
  std::uint64_t gate = 0;
};

class VectorClock {
 public:
  explicit VectorClock(std::shared_ptr<const ConsistencyController> controller) : controller_(std::move(controller)) {}

  /// Takes a slot in, at the minimum, not working. Returns its clock; a slot that is in already keeps its own.
  std::uint64_t enter(Incarnation client);
  /// Takes it out; nobody waits for it. Idempotent.
  void leave(Incarnation client);
  [[nodiscard]] bool has(Incarnation client) const { return slots_.contains(client); }
  /// It has work and counts from now on. Idempotent.
  void resume(Incarnation client);
  /// It has no work. Idempotent.
  void pause(Incarnation client);
  /// The clock that the slot's next batch has. REQUIRES: has(client), as all below.
  [[nodiscard]] std::uint64_t clock(Incarnation client) const;
  /// The same in the job's count: what slots are compared by.
  [[nodiscard]] std::uint64_t job_clock(Incarnation client) const { return slots_.at(client).clock; }
  /// The highest clock that it may begin now. Never falls.
  [[nodiscard]] std::uint64_t gate(Incarnation client) const;
  /// Ends the slot's clock: it goes up by one. REQUIRES: it is working, clock(client) ≤ gate(client).
  void commit(Incarnation client);
  /// As gate(), and remembers that the client was told.
  std::uint64_t tell(Incarnation client);
  /// The working slots that believe themselves shut out (told less than their clock) and no longer are; each once.
  [[nodiscard]] std::vector<GateRise> take_rises();

  /// bsp: no clock above this one (in the job's count) begins, whatever the controller says. REQUIRES: not below the limit before.
  void limit(std::uint64_t clock) { limit_ = clock; }
  /// bsp: whoever enters or goes on from now on does so at this clock at least.
  void raise(std::uint64_t clock) { minimum_ = std::max(minimum_, clock); }
  /// Whether a working slot has not committed this clock (in the job's count) yet.
  [[nodiscard]] bool any_working_at(std::uint64_t clock) const;
  /// Whether it may have a batch of its clock under way: it works, and was told that it may begin.
  [[nodiscard]] bool may_have_begun(Incarnation client) const {
    const Slot& slot = slots_.at(client);
    return slot.working && slot.told >= slot.clock - slot.bias;
  }
  [[nodiscard]] bool any_working() const { return any_working_at(kNoGate); }

  /// The slowest working slot's clock; with none, the last minimum. Never falls.
  [[nodiscard]] std::uint64_t minimum() const { return minimum_; }
  [[nodiscard]] std::size_t slots() const { return slots_.size(); }

 private:
  struct Slot {
    std::uint64_t clock = 0;  ///< in the job's count
    std::uint64_t bias = 0;   ///< job's count − the client's own
    std::uint64_t told = 0;   ///< the gate last told, in the client's own count
    bool working = false;
  };
  void find_minimum();
  std::shared_ptr<const ConsistencyController> controller_;
  std::map<Incarnation, Slot> slots_;
  std::uint64_t minimum_ = 0;
  std::uint64_t limit_ = kNoGate;
};

}  // namespace sluice::server
