#include "server/consistency/controller.h"

#include "base/assert.h"

namespace sluice::server {

const Registry<MakeController>& builtin_controllers() {
  static const Registry<MakeController> registry = [] {
    Registry<MakeController> made("consistency mode");
    made.add("asp", make_asp);
    made.add("bsp", make_bsp);
    made.add("ssp", make_ssp);
    return made;
  }();
  return registry;
}

std::unique_ptr<const ConsistencyController> make_controller(const proto::ConsistencySpec& spec) {
  const auto maker = builtin_controllers().find(proto::name_of(spec.mode));
  SLUICE_ASSERT(maker.has_value());
  return (**maker)(spec);
}

}  // namespace sluice::server
