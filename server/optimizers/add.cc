/// w ← w + g: counts, statistics, sums of deltas. No state, no numbers. A zero update changes nothing.

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class Add final : public Optimizer {
 public:
  [[nodiscard]] std::size_t state_floats(std::size_t) const override { return 0; }
  void apply(const UpdateSpan& span, UpdateInfo) const override {
    const float* in = span.in;
    float* out = span.out;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) out[i] = in[i] + update[i];
  }
};

}  // namespace

OptimizerKind add_kind() {
  return {{}, [](const proto::OptimizerSpec&) { return std::make_unique<const Add>(); }, false, false};
}

}  // namespace sluice::server
