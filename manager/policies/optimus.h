#pragma once
/// `optimus`: Peng, Bao, Chen, Wu, Guo: Optimus (EuroSys'18), section 4.1: each job starts with one slot, then one slot at a time goes to the job whose
/// predicted remaining time falls most by it. The remaining time is the remaining steps, as declared or estimated, over the measured steps a second at that
/// many slots; a weight multiplies what is saved. With fewer slots than jobs they take turns by what they are owed, as under `fair`.

#include <memory>

#include "manager/policy.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Policy> make_optimus_policy();

}  // namespace sluice::manager
