/// Asynchronous: no bound.

#include "server/consistency/controller.h"

namespace sluice::server {
namespace {
class Asp final : public ConsistencyController {
 public:
  [[nodiscard]] std::uint64_t gate(std::uint64_t) const override { return kNoGate; }
};
}  // namespace

std::unique_ptr<const ConsistencyController> make_asp(const proto::ConsistencySpec&) { return std::make_unique<const Asp>(); }

}  // namespace sluice::server
