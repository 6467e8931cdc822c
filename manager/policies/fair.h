#pragma once
/// `fair`: equal (weighted) shares; what is left of whole slots is paid out by deficit round-robin (quantum: a round, quantum_min, and 20 × the cost of a move,
/// whichever is longest). Blind to the loss: the baseline.

#include <memory>
#include <span>

#include "manager/policies/claims.h"
#include "manager/policy.h"

namespace sluice::manager {

/// Gives each claim its share: whole slots first; then the remaining slots, one each, to holders whose quantum runs, then to those that are owed most. Returns
/// what nobody's share asks for.
std::uint32_t give_shares(std::span<Claim> claims, std::uint32_t slots);

[[nodiscard]] std::unique_ptr<Policy> make_fair_policy();

}  // namespace sluice::manager
