#include "manager/manager.h"

#include "manager/detail/actor.h"
#include "manager/policy.h"
#include "manager/predictor.h"

namespace sluice::manager {
namespace {

Result<void> check(const ManagerOptions& o) {
  if (o.servers == 0 || o.servers > 4096) return fail(Errc::kBadConfig, "servers must be 1 to 4096");
  if (o.round_ms == 0 || o.round_ms > 3'600'000) return fail(Errc::kBadConfig, "the round must be 1 ms to an hour");
  if (o.heartbeat_ms == 0 || o.suspicion_ms < 2 * o.heartbeat_ms) return fail(Errc::kBadConfig, "the suspicion must be at least two heartbeats");
  if (o.virtual_nodes == 0 || o.virtual_nodes > 4096 || !(o.load_bound > 0))
    return fail(Errc::kBadConfig, "virtual nodes must be 1 to 4096, and the load bound above 0");
  if (o.state_dir.empty()) return fail(Errc::kBadConfig, "a state folder is needed");
  return {};
}

}  // namespace

Result<void> start_manager(const ManagerOptions& options, net::Runtime runtime) {
  if (auto good = check(options); !good) return good;
  const PolicyRegistry policies = builtin_policies();
  const auto make_policy = policies.find(options.policy);
  if (!make_policy) return fail(make_policy.error());
  auto policy = (**make_policy)();
  const PredictorRegistry predictors = builtin_predictors();
  const auto make_predictor = predictors.find(policy->predictor());
  if (!make_predictor) return fail(make_predictor.error());
  auto store = open_sqlite_store(options.state_dir);
  if (!store) return fail(store.error());
  auto core = std::make_unique<Core>(options, runtime.clock, std::move(*store), std::move(policy), **make_predictor);
  if (auto opened = core->open(); !opened) return opened;
  auto listener = runtime.transport.listen(options.listen);
  if (!listener) return fail(listener.error());
  const std::string address = (*listener)->address();
  runtime.executor.start("manager", make_manager_actor(std::move(core), std::move(*listener), runtime));
  if (options.on_ready) options.on_ready(address);
  return {};
}

}  // namespace sluice::manager
