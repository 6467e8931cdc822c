#pragma once
/// SLAQ's loss predictor (Zhang, Stafman, Or, Freedman, SoCC'17, section 4.2), as its authors did it: 1/(ax²+bx+c)+d for sublinear algorithms and a^(x−b)+c for
/// linear and superlinear ones, parameters ≥ 0, the newer report the heavier (σᵢ = 0.8ⁱ, i = 0 the oldest), over the newest 100 reports, filled up by a spline
/// to 50 where there are fewer; retries from other starts. The better of the two fits predicts. Solved by GSL's trust-region Levenberg-Marquardt, begun at the
/// last solution.

#include <memory>

#include "manager/predictor.h"

namespace sluice::manager {

class CurveSolver;  ///< GSL workspaces, shared by the predictors of one registry

[[nodiscard]] std::shared_ptr<CurveSolver> make_curve_solver();
[[nodiscard]] std::unique_ptr<Predictor> make_slaq_predictor(std::shared_ptr<CurveSolver> solver);

}  // namespace sluice::manager
