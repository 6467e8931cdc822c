/// Bulk synchronous parallel (Valiant, CACM 1990): all slots end a clock before one begins the next. That a clock's updates are applied at its end, and before
/// the next begins, is the job home's business (server/job_home.h).

#include "server/consistency/controller.h"

namespace sluice::server {
namespace {
class Bsp final : public ConsistencyController {
 public:
  [[nodiscard]] std::uint64_t gate(std::uint64_t minimum) const override { return minimum; }
};
}  // namespace

std::unique_ptr<const ConsistencyController> make_bsp(const proto::ConsistencySpec&) { return std::make_unique<const Bsp>(); }

}  // namespace sluice::server
