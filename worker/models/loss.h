#pragma once
/// Losses over a batch's logits, and the activations: loops that the compiler vectorises. NaN and infinities pass through all of them, so that a diverged job
/// shows.

#include <cstdint>
#include <span>

#include "worker/model.h"

namespace sluice::worker::models {

/// e^x for each x, in place; relative error < 2e-7 on [-87, 88], clamped outside, NaN stays NaN. (Cody–Waite reduction and Cephes' polynomial.)
void exponentials(std::span<float> values);
/// tanh in place; absolute error < 3e-7.
void tanh_in_place(std::span<float> values);
/// max(0, x) in place; NaN stays NaN.
void relu_in_place(std::span<float> values);

/// Cross-entropy of softmax. logits: rows × classes; become (p − onehot) · scale. labels: rows. Natural logarithms. Throws std::runtime_error for a label
/// outside 0 … classes − 1.
[[nodiscard]] Losses softmax_loss(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, float scale);
/// The same losses without the gradient, and the number of rows whose label has the largest logit (the first one of equals; none if a logit is NaN). logits are
/// overwritten.
[[nodiscard]] Scores softmax_scores(std::span<float> logits, std::span<const float> labels, std::uint32_t classes);
/// Logistic loss log(1 + e^(−z)) or log(1 + e^z) of labels 1 and 0. logits: rows; become (p − label) · scale. Throws as above.
[[nodiscard]] Losses logistic_loss(std::span<float> logits, std::span<const float> labels, float scale);
[[nodiscard]] Scores logistic_scores(std::span<const float> logits, std::span<const float> labels);

/// Hinge losses of a linear support vector machine: an output for each class, its target y = 1 for the label's and −1 for the others; with two classes one
/// output, y = 1 for class 1. An example's loss is the sum over its outputs z of max(0, 1 − yz), or of half its square where `squared` (which has a slope
/// everywhere). logits: rows × outputs; become the slope · scale. Throws as above.
[[nodiscard]] Losses hinge_loss(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, bool squared, float scale);
/// The label is right where its output is the largest (as softmax_scores), with two classes where the output has its sign (0: class 0). logits are overwritten.
[[nodiscard]] Scores hinge_scores(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, bool squared);

/// Half the squared error (z − target)² / 2. outputs: rows; become (z − target) · scale. Throws std::runtime_error for a target that is not finite.
[[nodiscard]] Losses squares_loss(std::span<float> outputs, std::span<const float> targets, float scale);
/// metric_sum: the sum of (z − target)².
[[nodiscard]] Scores squares_scores(std::span<const float> outputs, std::span<const float> targets);

/// Sets each of the rows of `out` to `row`; out.size() is a multiple of row.size().
void fill_rows(std::span<const float> row, std::span<float> out);
/// sums[c] = sum over rows of matrix[r][c].
void column_sums(std::span<const float> matrix, std::span<float> sums);

}  // namespace sluice::worker::models
