/// RMSProp (Tieleman, Hinton, Neural Networks for Machine Learning, lecture 6.5, 2012): s ← decay × s + (1 − decay) × g², w ← w − lr × g / (√s + epsilon).
/// State: one plane, s. A zero gradient decays s and moves nothing.

#include <cmath>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class RmsProp final : public Optimizer {
 public:
  explicit RmsProp(const proto::OptimizerSpec& spec)
      : lr_(spec.number("lr", 0)),
        decay_(static_cast<float>(spec.number("decay", 0))),
        fresh_(static_cast<float>(1 - spec.number("decay", 0))),
        epsilon_(static_cast<float>(spec.number("epsilon", 0))) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return n; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    const float lr = static_cast<float>(lr_ * info.rate), decay = decay_, fresh = fresh_, epsilon = epsilon_;
    const float* in = span.in;
    float* out = span.out;
    float* squares = span.state;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i];
      const float s = decay * squares[i] + fresh * (g * g);
      squares[i] = s;
      out[i] = in[i] - lr * g / (std::sqrt(s) + epsilon);
    }
  }

 private:
  double lr_;
  float decay_, fresh_, epsilon_;
};

}  // namespace

OptimizerKind rmsprop_kind() {
  return {{{"lr", 0.001, 0, 1e6, false}, {"decay", 0.9, 0, 1, true}, {"epsilon", 1e-8, 1e-30, 1, true}},
          [](const proto::OptimizerSpec& spec) { return std::make_unique<const RmsProp>(spec); }};
}

}  // namespace sluice::server
