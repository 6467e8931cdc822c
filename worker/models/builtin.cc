#include <fmt/format.h>

#include <algorithm>

#include "worker/model.h"
#include "worker/models/factorization.h"
#include "worker/models/gbt.h"
#include "worker/models/kmeans.h"
#include "worker/models/lda.h"
#include "worker/models/linear.h"
#include "worker/models/matrix_factorization.h"
#include "worker/models/mlp.h"
#include "worker/models/polynomial.h"

namespace sluice::worker {

ModelRegistry builtin_models() {
  ModelRegistry models("model");
  models.add("fm", models::make_fm);
  models.add("gbt", models::make_gbt);
  models.add("kmeans", models::make_kmeans);
  models.add("lda", models::make_lda);
  models.add("linear", models::make_least_squares);
  models.add("logistic", models::make_logistic);
  models.add("mf", models::make_mf);
  models.add("mlp", models::make_mlp);
  models.add("ridge", models::make_ridge);
  models.add("softmax", models::make_softmax);
  models.add("svm", models::make_svm);
  models.add("svm-poly", models::make_svm_poly);
  return models;
}

std::string update_problem(const Model& model, const proto::JobSpec& job) {
  if (model.update_kind() == UpdateKind::kGradient) {
    const auto tables = model.tables();
    const bool steps = std::all_of(tables.begin(), tables.end(), [](const TableDecl& table) { return table.use == TableUse::kParameters; });
    if (steps || job.consistency.local_steps == 0) return {};
    return fmt::format("model '{}' has tables that its batches only read, or only write: a slot can take no local steps with it; take 'local_steps' out",
                       job.model);
  }
  if (job.consistency.local_steps > 0)
    return fmt::format("model '{}' gives no gradients, so a slot can take no local steps with it: take 'local_steps' out", job.model);
  if (job.optimizer == proto::OptimizerSpec{} || job.optimizer == proto::OptimizerSpec{"add", {}}) return {};
  return fmt::format("model '{}' gives no gradients: what it pushes is added up, with no optimizer, schedule or clip: take 'optimizer' out", job.model);
}

namespace {
/// The data's shape is not known yet: a model that accepts the params for one of these shapes is fine so far. Errors: the first shape's.
Result<std::unique_ptr<Model>> make_for_any(const ModelRegistry& models, const std::string& name, const std::string& params,
                                            std::optional<proto::LabelKind> labels) {
  const auto make = models.find(name);
  if (!make) return fail(make.error());
  std::optional<Error> first;
  for (const std::uint32_t classes : {2U, 0U}) {
    if (labels && (*labels == proto::LabelKind::kTargets) != (classes == 0)) continue;
    for (const bool sparse : {false, true}) {
      auto made = (**make)(params, {.rows = 1, .features = 1, .classes = classes, .sparse = sparse});
      if (made) return made;
      if (!first) first = made.error();
    }
  }
  return fail(*first);
}
}  // namespace

UpdateKind update_kind_of(const ModelRegistry& models, const std::string& name, const std::string& params) {
  const auto model = make_for_any(models, name, params, std::nullopt);
  return model ? (*model)->update_kind() : UpdateKind::kGradient;
}

std::string metric_of(const ModelRegistry& models, const std::string& name, const std::string& params) {
  const auto model = make_for_any(models, name, params, std::nullopt);
  return model ? (*model)->metric() : std::string();
}

Result<void> check_model(const ModelRegistry& models, const std::string& name, const std::string& params, std::optional<proto::LabelKind> labels) {
  if (const auto made = make_for_any(models, name, params, labels); !made) return fail(made.error());
  return {};
}

}  // namespace sluice::worker
