/// FTRL-Proximal (McMahan et al., KDD 2013, algorithm 1), lr = α:
///   σ = (√(n + g²) − √n) / lr,  z ← z + g − σ w,  n ← n + g²,
///   w = 0 where |z| ≤ l1, else −(z − sgn(z) × l1) / ((beta + √n) / lr + l2).
/// The algorithm starts at w = 0. Values that start elsewhere are kept: the z that their first gradient meets is the one that gives just that w at n = 0,
///   z₀ = −w × (beta / lr + l2) − sgn(w) × l1.
/// The paper's beta = 1 is meant for gradients of single examples; for means of a batch, about 1 / batch learns at the same pace.
/// Its rate falls by itself, for each coordinate, and what it has summed depends on it: it takes no schedule.
/// State: two planes, z then n. A zero gradient changes nothing.

#include <cmath>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class Ftrl final : public Optimizer {
 public:
  explicit Ftrl(const proto::OptimizerSpec& spec)
      : rate_(static_cast<float>(1 / spec.number("lr", 1))),
        first_(static_cast<float>(spec.number("beta", 0) / spec.number("lr", 1) + spec.number("l2", 0))),
        l1_(static_cast<float>(spec.number("l1", 0))) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return 2 * n; }
  void apply(const UpdateSpan& span, UpdateInfo) const override {
    const float rate = rate_, first = first_, l1 = l1_;
    const float* in = span.in;
    float* out = span.out;
    float* zs = span.state;
    float* ns = span.state + span.n;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i], w = in[i], n = ns[i];
      const bool fresh = n == 0 && zs[i] == 0;
      const float start = w == 0 ? 0.0F : -w * first - std::copysign(l1, w);
      const float squares = n + g * g, root = std::sqrt(squares);
      const float z = (fresh ? start : zs[i]) + g - (root - std::sqrt(n)) * rate * w;
      const float moved = std::abs(z) <= l1 ? 0.0F : (std::copysign(l1, z) - z) / (root * rate + first);
      const bool still = g == 0;
      zs[i] = still ? zs[i] : z;
      ns[i] = squares;
      out[i] = still ? w : moved;
    }
  }

 private:
  float rate_, first_, l1_;  ///< 1 / lr; the divisor at n = 0; l1
};

}  // namespace

OptimizerKind ftrl_kind() {
  // A beta above 0 keeps the divisor away from 0 where g² is too small for a float.
  return {{{"lr", 0.1, 0, 1e6, false}, {"beta", 1, 1e-6, 1e6, true}, {"l1", 0, 0, 1e6, true}, {"l2", 0, 0, 1e6, true}},
          [](const proto::OptimizerSpec& spec) { return std::make_unique<const Ftrl>(spec); },
          true,
          false};
}

}  // namespace sluice::server
