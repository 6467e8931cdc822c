#pragma once
/// A support vector machine with the polynomial kernel (1 + gamma · x·y)² of degree 2, in its primal form: the linear one (models/linear.h) on the kernel's own
/// features √(2 gamma) · x_i, gamma · x_i² and √2 gamma · x_i x_j for i < j (Chang et al., JMLR 11, 2010); its constant feature 1 is b's place. Data with at
/// most 2^bits such features has a row of the table for each: x_i at i, x_i x_j (i ≤ j) behind them in the order (0,0), (0,1), …, (1,1), …; with more (at 18
/// bits: from 723 features on) they share the 2^bits rows by a hash, and l2 pulls a row once for each feature that an example has there. Only features that
/// occur are stored. A row of n entries that are not zero costs n (n + 3) / 2; an update of a batch that costs more than 2^27 throws.

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: those of svm (models/linear.h), "gamma" 1e-9 … 1e6 (default: dense data 1 / features, sparse data 1), and "bits" 4 … 30 (default 18).
[[nodiscard]] Result<std::unique_ptr<Model>> make_svm_poly(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
