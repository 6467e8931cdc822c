/// AdaGrad (Duchi, Hazan, Singer, JMLR 2011): s ← s + g², w ← w − lr × g / (√s + epsilon). State: one plane, s. A zero gradient changes nothing.

#include <cmath>

#include "server/optimizer.h"

namespace sluice::server {
namespace {

class Adagrad final : public Optimizer {
 public:
  Adagrad(double lr, double epsilon) : lr_(lr), epsilon_(static_cast<float>(epsilon)) {}
  [[nodiscard]] std::size_t state_floats(std::size_t n) const override { return n; }
  [[nodiscard]] bool state_adds_up() const override { return true; }
  void apply(const UpdateSpan& span, UpdateInfo info) const override {
    const float lr = static_cast<float>(lr_ * info.rate), epsilon = epsilon_;
    const float* in = span.in;
    float* out = span.out;
    float* squares = span.state;
    const UnalignedFloat* update = span.update;
#pragma GCC ivdep
    for (std::size_t i = 0; i < span.n; ++i) {
      const float g = update[i];
      const float s = squares[i] + g * g;
      squares[i] = s;
      out[i] = in[i] - lr * g / (std::sqrt(s) + epsilon);
    }
  }

 private:
  double lr_;
  float epsilon_;
};

}  // namespace

OptimizerKind adagrad_kind() {
  // An epsilon of at least 1e-30 keeps 0 / 0 away from a zero gradient on fresh state.
  return {{{"lr", 0.1, 0, 1e6, false}, {"epsilon", 1e-8, 1e-30, 1, true}},
          [](const proto::OptimizerSpec& spec) { return std::make_unique<const Adagrad>(spec.number("lr", 0), spec.number("epsilon", 0)); }};
}

}  // namespace sluice::server
