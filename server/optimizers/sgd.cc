/// w ← w − lr × (g + weight_decay × w). A zero gradient changes nothing unless weight_decay > 0.

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(double lr, double weight_decay) : lr_(lr), weight_decay_(weight_decay) {}
  [[nodiscard]] std::size_t state_floats(std::size_t) const override { return 0; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    const double rate = lr_ * info.rate;
    const float lr = static_cast<float>(rate), keep = static_cast<float>(1 - rate * weight_decay_);
    const float* in = span.in;
    float* out = span.out;
    const UnalignedFloat* g = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) out[i] = keep * in[i] - lr * g[i];
  }

 private:
  double lr_, weight_decay_;
};

}  // namespace

OptimizerKind sgd_kind() {
  return {{{"lr", 0.1, 0, 1e6, false}, {"weight_decay", 0, 0, 1, true}},
          [](const proto::OptimizerSpec& spec) { return std::make_unique<const Sgd>(spec.number("lr", 0), spec.number("weight_decay", 0)); }};
}

}  // namespace sluice::server
