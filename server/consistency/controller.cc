#include "server/consistency/controller.h"

#include "base/assert.h"

namespace sluice::server {

const Registry<MakeController>& builtin_controllers() {
  static const Registry<MakeController> registry = [] {
    Registry<MakeController> made("consistency mode");
    made.add("asp", make_asp);
    made.add("ssp", make_ssp);
    return made;
  }();
  return registry;
}

std::unique_ptr<const ConsistencyController> make_controller(const proto::ConsistencySpec& spec) {
  const auto maker = builtin_controllers().find(spec.mode == proto::ConsistencyMode::kAsp ? "asp" : "ssp");
  SLUICE_ASSERT(maker.has_value());
  return (**maker)(spec);
}

}  // namespace sluice::server
