#pragma once
/// `fair`: equal (weighted) shares; what is left of whole slots is paid out by deficit round-robin (quantum: a round, quantum_min, and 20 × the cost of a move,
/// whichever is longest). Blind to the loss: the baseline.

#include <memory>

#include "manager/policy.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Policy> make_fair_policy();

}  // namespace sluice::manager
