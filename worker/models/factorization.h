#pragma once
/// A factorization machine of degree 2 (Rendle, ICDM 2010, equation 1 and lemma 3.1): for each output
///   z = b + Σ_i w_i x_i + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j,  the last sum as ½ Σ_f ((Σ_i v_if x_i)² − Σ_i v_if² x_i²): linear in a row's entries.
/// Two classes: one output and the logistic loss; more: an output for each and softmax cross-entropy. Tables: sparse w (a row of `outputs` floats for each
/// feature met) and v (outputs × rank, output by output), dense b (1 × outputs); dense data too is taken by its entries that are not zero. First values: w and
/// b zero, v normal (at zero its slope would be zero). Objective: the batch's mean loss + l2/2 · the mean over the examples of |w and v of the features that
/// the example has|².

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: "rank" 1 … 256 (default 8), "l2" 0 … 1 (default 0), "init" the deviation of v's first values, 0 … 1 (default 0.05).
[[nodiscard]] Result<std::unique_ptr<Model>> make_fm(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
