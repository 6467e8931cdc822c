#pragma once
/// `asha`: asynchronous successive halving (Li et al.: A system for massively parallel hyperparameter tuning, MLSys'20, algorithm 2), η = 3, on jobs that are
/// there anyway: a job that has passed rung k goes on only while its loss at that rung is among the best third (rounded down) of all that have passed it; the
/// others are paused, that is, without slots, and come back when nobody else can use theirs or when those before them have ended. Rungs: rung_step(). Members
/// of a group are compared with each other by their losses; jobs without a group with all others of these by their losses as a share of their first one. Those
/// that go on share the slots by weight; with fewer slots than these, they get one each in turn of the groups, those that have come furthest first.

#include <memory>

#include "manager/policy.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Policy> make_asha_policy();

}  // namespace sluice::manager
