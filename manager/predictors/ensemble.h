#pragma once
/// `ensemble`: many fixed shapes fitted in closed form, averaged by how well each foretold the reports of late. O(shapes) a report, no iteration. One thread.

#include <memory>

#include "manager/predictor.h"

namespace sluice::manager {

[[nodiscard]] std::unique_ptr<Predictor> make_ensemble_predictor();

}  // namespace sluice::manager
