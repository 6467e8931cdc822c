#pragma once
/// Fixed shapes that losses fall along, as functions of the step, for the predictor `ensemble`. Each is worth a few multiplications: powers are square roots
/// and squares, exponentials square each other. One thread.

#include <array>
#include <cstddef>

namespace sluice::manager {

/// Shapes: a constant; (1 + k/o)^−p for p of kPowers and kOffsets offsets o; e^(−k/τ) for kTimes times τ; and, where the number of steps N is declared, in
/// u = k/N: 1 − u, (1 − u)², √(1 − u) and (1 + cos πu)/2. Offsets and times follow the steps: they are multiples of a scale, the least 4^j ≥ k.
class ShapeBank {
 public:
  static constexpr std::size_t kExponents = 4, kOffsets = 3, kTimes = 6, kDeclared = 4;
  static constexpr std::size_t kFirstPower = 1, kFirstTime = kFirstPower + kExponents * kOffsets, kFirstDeclared = kFirstTime + kTimes;
  static constexpr std::size_t kShapes = kFirstDeclared + kDeclared;
  using Values = std::array<double, kShapes>;

  /// All shapes' values at step k ≥ 0; those in k/N are 0 where N is not declared.
  [[nodiscard]] Values at(double k) const;
  /// The same at kLanes steps at once, a row of each shape.
  static constexpr std::size_t kLanes = 8;
  using Lanes = std::array<double, kLanes>;
  void at(const Lanes& k, std::array<Lanes, kShapes>& out) const;
  /// 0: not declared.
  void declare(double total_steps) { total_ = total_steps > 0 ? total_steps : 0; }
  [[nodiscard]] double declared() const { return total_; }
  /// Shapes in use: the first so many.
  [[nodiscard]] std::size_t size() const { return total_ > 0 ? kShapes : kFirstDeclared; }

  /// The scale is below k: grow() before at(k).
  [[nodiscard]] bool outgrown(double k) const { return k > scale_; }
  /// Makes the scale four times as large. Entry i of the result: which of the shapes before is shape i now; where none is, the nearest, and `fresh` is set.
  struct From {
    std::size_t shape = 0;
    bool fresh = false;
  };
  using Moves = std::array<From, kShapes>;
  Moves grow();

 private:
  double scale_ = 4;
  double total_ = 0;
};

}  // namespace sluice::manager
