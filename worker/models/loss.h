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

/// Sets each of the rows of `out` to `row`; out.size() is a multiple of row.size().
void fill_rows(std::span<const float> row, std::span<float> out);
/// sums[c] = sum over rows of matrix[r][c].
void column_sums(std::span<const float> matrix, std::span<float> sums);

}  // namespace sluice::worker::models
