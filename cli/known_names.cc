#include <map>
#include <memory>
#include <optional>

#include "cli/run_file.h"
#include "manager/policy.h"
#include "server/optimizer.h"
#include "worker/metrics.h"
#include "worker/model.h"
#include "worker/plugin/process_model.h"

namespace sluice::cli {
namespace {

/// Shapes of data that a plug-in is tried on: small ones, and some that suit a model that needs a few rows and features.
struct TriedShape {
  std::uint64_t rows = 1, features = 1;
  bool sparse = false;
};
constexpr TriedShape kTried[] = {{1, 1, false}, {1, 1, true}, {1000, 64, false}, {1000, 64, true}};

/// Plug-ins in slot processes of this process, one for each path.
class Plugins {
 public:
  Result<KnownPlugin> open(const std::string& path) {
    auto& one = opened_[path];
    if (!one.process) {
      auto started = worker::plugin::SlotProcess::start({});
      if (!started) return fail(started.error());
      one.process = std::move(*started);
      const auto facts = worker::plugin::open_plugin(*one.process, path, 0);
      one.known = facts ? Result<KnownPlugin>(KnownPlugin{facts->name, facts->digest}) : fail(facts.error());
    }
    return one.known;
  }
  /// A plug-in that takes the params for one shape of data is fine so far: the data's own is not known yet. Returns whether it gives gradients.
  Result<bool> check(const std::string& path, const std::string& params, std::optional<proto::LabelKind> labels) {
    const auto known = open(path);
    if (!known) return fail(known.error());
    std::optional<Error> first;
    for (const std::uint32_t classes : {2U, 0U}) {
      if (labels && (*labels == proto::LabelKind::kTargets) != (classes == 0)) continue;
      for (const auto& [rows, features, sparse] : kTried) {
        const auto made =
            worker::plugin::try_model(*opened_[path].process, known->model, params, {.rows = rows, .features = features, .classes = classes, .sparse = sparse});
        if (made) return *made == worker::UpdateKind::kGradient;
        if (!first) first = made.error();
      }
    }
    return fail(*first);
  }

 private:
  struct Opened {
    std::unique_ptr<worker::plugin::SlotProcess> process;
    Result<KnownPlugin> known = KnownPlugin{};
  };
  std::map<std::string, Opened> opened_;
};

}  // namespace

KnownNames built_in_names() {
  KnownNames out;
  out.check_model = [models = worker::builtin_models()](const std::string& model, const std::string& params) {
    return worker::check_model(models, model, params);
  };
  out.check_labels = [models = worker::builtin_models()](const std::string& model, const std::string& params, proto::LabelKind labels) {
    return worker::check_model(models, model, params, labels);
  };
  out.check_metric = worker::check_metric;
  out.only_metric = [models = worker::builtin_models()](const std::string& model, const std::string& params) -> std::optional<std::string> {
    const std::string own = worker::metric_of(models, model, params);
    return own.empty() || worker::takes_other_metrics(own) ? std::nullopt : std::optional(own);
  };
  const auto plugins = std::make_shared<Plugins>();
  out.open_plugin = [plugins](const std::string& path) { return plugins->open(path); };
  out.check_plugin = [plugins](const std::string& path, const std::string& params, std::optional<proto::LabelKind> labels) {
    return plugins->check(path, params, labels);
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
