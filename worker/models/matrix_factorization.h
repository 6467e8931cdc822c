#pragma once
/// Matrix factorization with biases (Koren, Bell, Volinsky, IEEE Computer 42(8), 2009, equations 3 to 5): a row names a user u and an item i, its target is the
/// rating. Predicted: b + w_u + w_i + ⟨v_u, v_i⟩; loss: half the squared error. Rows have at most two entries, each 1, one feature for each user and each item
/// (a CSV file's two text columns, or libsvm lines `4.5 USER:1 ITEM:1` with items numbered after users). A row with one entry, because its user or its item was
/// not in the training data, is predicted by what is known of the other; one with none by b. What else a row has throws, naming it.
/// Tables: sparse w (1) and v (rank) of users and items alike, dense b (1 × 1), the mean. First values: w and b zero, v normal. Objective: the batch's mean
/// loss + l2/2 · the mean over the examples of |w and v of the example's user and item|².

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: "rank" 1 … 256 (default 8), "l2" 0 … 1 (default 0), "init" the deviation of v's first values, 0 … 1 (default 0.1).
[[nodiscard]] Result<std::unique_ptr<Model>> make_mf(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
