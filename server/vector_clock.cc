#include "server/vector_clock.h"

#include <algorithm>

#include "base/assert.h"

namespace sluice::server {

std::uint64_t VectorClock::enter(Incarnation client) {
  const auto [it, fresh] = slots_.try_emplace(client);
  if (fresh) it->second.clock = minimum_;
  return it->second.clock - it->second.bias;
}

void VectorClock::leave(Incarnation client) {
  slots_.erase(client);
  find_minimum();
}

void VectorClock::resume(Incarnation client) {
  Slot& slot = slots_.at(client);
  if (slot.working) return;
  slot.working = true;
  if (slot.clock < minimum_) {
    slot.bias += minimum_ - slot.clock;
    slot.clock = minimum_;
  }
  find_minimum();  // where nobody worked, the newcomer alone is the slowest
}

void VectorClock::pause(Incarnation client) {
  slots_.at(client).working = false;
  find_minimum();
}

std::uint64_t VectorClock::clock(Incarnation client) const {
  const Slot& slot = slots_.at(client);
  return slot.clock - slot.bias;
}

std::uint64_t VectorClock::gate(Incarnation client) const {
  const Slot& slot = slots_.at(client);
  // A paused slot may have fallen behind the minimum; it must not be told a gate that it would not have once it goes on.
  const std::uint64_t gate = std::min(limit_, controller_->gate(std::min(minimum_, slot.clock)));
  return gate == kNoGate ? kNoGate : gate - std::min(gate, slot.bias);
}

void VectorClock::commit(Incarnation client) {
  Slot& slot = slots_.at(client);
  SLUICE_ASSERT(slot.working && slot.clock - slot.bias <= gate(client));
  ++slot.clock;
  find_minimum();
}

std::uint64_t VectorClock::tell(Incarnation client) { return slots_.at(client).told = gate(client); }

std::vector<GateRise> VectorClock::take_rises() {
  std::vector<GateRise> rises;
  for (auto& [client, slot] : slots_) {
    const std::uint64_t own = slot.clock - slot.bias;
    if (!slot.working || slot.told >= own) continue;
    if (const std::uint64_t now = gate(client); now >= own) rises.push_back({client, slot.told = now});
  }
  return rises;
}

bool VectorClock::any_working_at(std::uint64_t clock) const {
  return std::any_of(slots_.begin(), slots_.end(), [clock](const auto& slot) { return slot.second.working && slot.second.clock <= clock; });
}

void VectorClock::find_minimum() {
  std::uint64_t lowest = kNoGate;
  for (const auto& [client, slot] : slots_) {
    if (slot.working) lowest = std::min(lowest, slot.clock);
  }
  if (lowest != kNoGate) minimum_ = std::max(minimum_, lowest);
}

}  // namespace sluice::server
