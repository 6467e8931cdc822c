#pragma once
/// The last delta goes on: SLAQ's own baseline. Straight ahead at the slope between the last two reports, never below zero (or, for losses that go negative,
/// the lowest seen).

#include <memory>

#include "manager/predictor.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Predictor> make_last_predictor();

}  // namespace sluice::manager
