/// Stale synchronous parallel (Ho et al., NIPS 2013): a slot begins a clock at most `staleness` ahead of the slowest.

#include "server/consistency/controller.h"

namespace sluice::server {
namespace {
class Ssp final : public ConsistencyController {
 public:
  explicit Ssp(std::uint64_t staleness) : staleness_(staleness) {}
  [[nodiscard]] std::uint64_t gate(std::uint64_t minimum) const override { return minimum > kNoGate - staleness_ ? kNoGate : minimum + staleness_; }

 private:
  std::uint64_t staleness_;
};
}  // namespace

std::unique_ptr<const ConsistencyController> make_ssp(const proto::ConsistencySpec& spec) { return std::make_unique<const Ssp>(spec.staleness); }

}  // namespace sluice::server
