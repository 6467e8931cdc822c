#include "cli/run_file.h"
#include "manager/policy.h"
#include "server/optimizer.h"
#include "worker/model.h"

namespace sluice::cli {

KnownNames built_in_names() {
  KnownNames out;
  out.check_model = [models = worker::builtin_models()](const std::string& model, const std::string& params) {
    return worker::check_model(models, model, params);
  };
  out.check_labels = [models = worker::builtin_models()](const std::string& model, const std::string& params, proto::LabelKind labels) {
    return worker::check_model(models, model, params, labels);
  };
  out.gives_gradients = [models = worker::builtin_models()](const std::string& model, const std::string& params) {
    return worker::update_kind_of(models, model, params) == worker::UpdateKind::kGradient;
  };
  out.check_optimizer = server::check_optimizer;
  out.check_policy = [policies = manager::builtin_policies()](const std::string& policy) -> Result<void> {
    if (const auto found = policies.find(policy); !found) return tl::unexpected(found.error());
    return {};
  };
  return out;
}

}  // namespace sluice::cli
