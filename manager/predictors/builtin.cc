#include "manager/predictors/ensemble.h"
#include "manager/predictors/last.h"
#include "manager/predictors/slaq.h"

namespace sluice::manager {

PredictorRegistry builtin_predictors() {
  PredictorRegistry registry("predictor");
  registry.add("ensemble", [] { return make_ensemble_predictor(); });
  registry.add("last", [] { return make_last_predictor(); });
  registry.add("slaq", [solver = make_curve_solver()] { return make_slaq_predictor(solver); });
  return registry;
}

}  // namespace sluice::manager
