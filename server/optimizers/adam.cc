/// Adam (Kingma, Ba, ICLR 2015, algorithm 1) with decoupled weight decay (Loshchilov, Hutter, ICLR 2019):
///   m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²,  w ← w − lr × ( m/(1 − β₁ᵗ) / (√(v/(1 − β₂ᵗ)) + epsilon) + weight_decay × w ),  t = updates of this span.
/// State: two planes, m then v. A zero gradient decays m and v and moves w by what is left of m: momentum goes on; on fresh state without weight_decay nothing
/// moves.

#include <cmath>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

struct AdamNumbers {
  double lr, beta1, beta2, epsilon, weight_decay;
};

class Adam final : public Optimizer {
 public:
  explicit Adam(AdamNumbers numbers) : numbers_(numbers) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return 2 * n; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    const double t = static_cast<double>(info.count);
    const double root = std::sqrt(1 - std::pow(numbers_.beta2, t));
    // The corrections are taken out of the loop: m̂ / (√v̂ + ε) = (√(1 − β₂ᵗ) / (1 − β₁ᵗ)) × m / (√v + ε√(1 − β₂ᵗ)).
    const float rate = static_cast<float>(numbers_.lr * root / (1 - std::pow(numbers_.beta1, t)));
    const float epsilon = static_cast<float>(numbers_.epsilon * root);
    const float keep = static_cast<float>(1 - numbers_.lr * numbers_.weight_decay);
    const float b1 = static_cast<float>(numbers_.beta1), b2 = static_cast<float>(numbers_.beta2);
    const float c1 = static_cast<float>(1 - numbers_.beta1), c2 = static_cast<float>(1 - numbers_.beta2);
    const float* in = span.in;
    float* out = span.out;
    float* first = span.state;
    float* second = span.state + span.n;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i];
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

}  // namespace

OptimizerKind adam_kind() {
  return {{{"lr", 0.001, 0, 1e6, false},
           {"beta1", 0.9, 0, 1, true},
           {"beta2", 0.999, 0, 1, true},
           {"epsilon", 1e-8, 1e-20, 1, true},  // times √(1 − β₂) it must stay a normal float
           {"weight_decay", 0, 0, 1, true}},
          [](const proto::OptimizerSpec& spec) {
            return std::make_unique<const Adam>(
                AdamNumbers{spec.number("lr", 0), spec.number("beta1", 0), spec.number("beta2", 0), spec.number("epsilon", 0), spec.number("weight_decay", 0)});
          }};
}

}  // namespace sluice::server
