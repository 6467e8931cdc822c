/// Adam (Kingma, Ba, ICLR 2015, algorithm 1):
///   m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  w ← w − lr × m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + epsilon),  t = updates of this span.
/// weight_decay of adam is the usual L2 term: g ← g + weight_decay × w first. Of adamw it is decoupled (Loshchilov, Hutter, ICLR 2019, algorithm 2):
/// w ← w − lr × weight_decay × w beside the step above.
/// State: two planes, m then v. A zero gradient decays m and v and moves w by what is left of m: momentum goes on; on fresh state without weight_decay nothing
/// moves.

#include <cmath>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

struct AdamNumbers {
  double lr, beta1, beta2, epsilon;
  double l2, decay;  ///< of the gradient; decoupled, times lr
};

class Adam final : public Optimizer {
 public:
  explicit Adam(AdamNumbers numbers) : numbers_(numbers) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return 2 * n; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    const double t = static_cast<double>(info.count);
    const double root = std::sqrt(1 - std::pow(numbers_.beta2, t));
    const double lr = numbers_.lr * info.rate;
    // The corrections are taken out of the loop: m̂ / (√v̂ + ε) = (√(1 − β₂ᵗ) / (1 − β₁ᵗ)) × m / (√v + ε√(1 − β₂ᵗ)).
    const float rate = static_cast<float>(lr * root / (1 - std::pow(numbers_.beta1, t)));
    const float epsilon = static_cast<float>(numbers_.epsilon * root);
    const float keep = static_cast<float>(1 - lr * numbers_.decay), l2 = static_cast<float>(numbers_.l2);
    const float b1 = static_cast<float>(numbers_.beta1), b2 = static_cast<float>(numbers_.beta2);
    const float c1 = static_cast<float>(1 - numbers_.beta1), c2 = static_cast<float>(1 - numbers_.beta2);
    const float* in = span.in;
    float* out = span.out;
    float* first = span.state;
    float* second = span.state + span.n;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i] + l2 * in[i];
      const float m = b1 * first[i] + c1 * g;
      const float v = b2 * second[i] + c2 * (g * g);
      first[i] = m;
      second[i] = v;
      out[i] = keep * in[i] - rate * m / (std::sqrt(v) + epsilon);
    }
  }

 private:
  AdamNumbers numbers_;
};

OptimizerKind kind(double weight_decay, bool decoupled) {
  return {{{"lr", 0.001, 0, 1e6, false},
           {"beta1", 0.9, 0, 1, true},
           {"beta2", 0.999, 0, 1, true},
           {"epsilon", 1e-8, 1e-20, 1, true},  // times √(1 − β₂) it must stay a normal float
           {"weight_decay", weight_decay, 0, 1, true}},
          [decoupled](const proto::OptimizerSpec& spec) {
            const double decay = spec.number("weight_decay", 0);
            return std::make_unique<const Adam>(AdamNumbers{spec.number("lr", 0), spec.number("beta1", 0), spec.number("beta2", 0), spec.number("epsilon", 0),
                                                            decoupled ? 0 : decay, decoupled ? decay : 0});
          }};
}

}  // namespace

OptimizerKind adam_kind() { return kind(0, false); }
OptimizerKind adamw_kind() { return kind(0.01, true); }

}  // namespace sluice::server
