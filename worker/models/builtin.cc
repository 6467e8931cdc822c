#include "worker/model.h"
#include "worker/models/factorization.h"
#include "worker/models/linear.h"
#include "worker/models/mlp.h"
#include "worker/models/polynomial.h"

namespace sluice::worker {

ModelRegistry builtin_models() {
  ModelRegistry models("model");
  models.add("fm", models::make_fm);
  models.add("logistic", models::make_logistic);
  models.add("mlp", models::make_mlp);
  models.add("softmax", models::make_softmax);
  models.add("svm", models::make_svm);
  models.add("svm-poly", models::make_svm_poly);
  return models;
}

Result<void> check_model(const ModelRegistry& models, const std::string& name, const std::string& params) {
  const auto make = models.find(name);
  if (!make) return fail(make.error());
  // The data's shape is not known yet: a model that accepts the params for one of these shapes is fine so far.
  const auto dense = (**make)(params, {.rows = 1, .features = 1, .classes = 2, .sparse = false});
  if (dense) return {};
  if ((**make)(params, {.rows = 1, .features = 1, .classes = 2, .sparse = true})) return {};
  return fail(dense.error());
}

}  // namespace sluice::worker
