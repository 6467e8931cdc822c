#include "server/detail/update_check.h"

#include <cmath>

namespace sluice::server {

Result<const Optimizer*> optimizer_for(proto::PushKind kind, const Optimizer& own, bool state) {
  static const std::unique_ptr<const Optimizer> plus = add_kind().make({});
  if (state && (kind != proto::PushKind::kDelta || !own.state_adds_up()))
    return fail(Errc::kRejected, "the optimizer's state goes with deltas only, and only where it adds up");
  if (kind == proto::PushKind::kGradient) return &own;
  if (kind == proto::PushKind::kDelta) return plus.get();
  return fail(Errc::kRejected, "pushes of averages are not served");
}

std::size_t first_not_finite(const UnalignedFloat* values, std::size_t n) {
  std::size_t at = 0;
  while (at + 1 < n && std::isfinite(values[at])) ++at;
  return at;
}

}  // namespace sluice::server
