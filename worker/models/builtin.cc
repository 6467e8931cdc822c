#include "worker/model.h"
#include "worker/models/factorization.h"
#include "worker/models/gbt.h"
#include "worker/models/lda.h"
#include "worker/models/linear.h"
#include "worker/models/mlp.h"
#include "worker/models/polynomial.h"

namespace sluice::worker {

ModelRegistry builtin_models() {
  ModelRegistry models("model");
  models.add("fm", models::make_fm);
  models.add("gbt", models::make_gbt);
  models.add("lda", models::make_lda);
  models.add("linear", models::make_least_squares);
  models.add("logistic", models::make_logistic);
  models.add("mlp", models::make_mlp);
  models.add("ridge", models::make_ridge);
  models.add("softmax", models::make_softmax);
  models.add("svm", models::make_svm);
  models.add("svm-poly", models::make_svm_poly);
  return models;
}

Result<void> check_model(const ModelRegistry& models, const std::string& name, const std::string& params, std::optional<proto::LabelKind> labels) {
  const auto make = models.find(name);
  if (!make) return fail(make.error());
  // The data's shape is not known yet: a model that accepts the params for one of these shapes is fine so far.
  std::optional<Error> first;
  for (const std::uint32_t classes : {2U, 0U}) {
    if (labels && (*labels == proto::LabelKind::kTargets) != (classes == 0)) continue;
    for (const bool sparse : {false, true}) {
      const auto made = (**make)(params, {.rows = 1, .features = 1, .classes = classes, .sparse = sparse});
      if (made) return {};
      if (!first) first = made.error();
    }
  }
  return fail(*first);
}

}  // namespace sluice::worker
