/// Gradient descent with momentum (Polyak 1964), and Nesterov's variant as in Sutskever et al., ICML 2013, section 2:
///   g ← g + weight_decay × w,  v ← momentum × v + g,  w ← w − lr × v;  nesterov: w ← w − lr × (g + momentum × v).
/// State: one plane, v. A zero gradient moves w by what is left of v; on fresh state without weight_decay nothing moves.

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class Momentum final : public Optimizer {
 public:
  Momentum(const proto::OptimizerSpec& spec, bool nesterov)
      : lr_(spec.number("lr", 0)),
        momentum_(static_cast<float>(spec.number("momentum", 0))),
        weight_decay_(static_cast<float>(spec.number("weight_decay", 0))),
        nesterov_(nesterov) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return n; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    // w − lr × (a × g + b × v) covers both: a = 0, b = 1 and a = 1, b = momentum.
    const float lr = static_cast<float>(lr_ * info.rate), momentum = momentum_, decay = weight_decay_, a = nesterov_ ? 1.0F : 0.0F,
                b = nesterov_ ? momentum_ : 1.0F;
    const float* in = span.in;
    float* out = span.out;
    float* velocity = span.state;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i] + decay * in[i];
      const float v = momentum * velocity[i] + g;
      velocity[i] = v;
      out[i] = in[i] - lr * (a * g + b * v);
    }
  }

 private:
  double lr_;
  float momentum_, weight_decay_;
  bool nesterov_;
};

OptimizerKind kind(bool nesterov) {
  return {{{"lr", 0.01, 0, 1e6, false}, {"momentum", 0.9, 0, 1, true}, {"weight_decay", 0, 0, 1, true}},
          [nesterov](const proto::OptimizerSpec& spec) { return std::make_unique<const Momentum>(spec, nesterov); }};
}

}  // namespace

OptimizerKind momentum_kind() { return kind(false); }
OptimizerKind nesterov_kind() { return kind(true); }

}  // namespace sluice::server
