#pragma once
/// Linear models: least squares and ridge regression, softmax and logistic regression, the linear support vector machine, on dense or sparse data.
/// Dense data: tables w (features × outputs) and b (1 × outputs). Sparse data: a sparse table w (a row of `outputs` floats for each feature index met) and a
/// dense table b. Objective: the batch's mean loss + l2/2 · |w|² (dense), or l2/2 · the mean over the examples of |w of the features that the example has|²
/// (sparse: a batch touches only its own rows; so a batch split in parts still sums to the same gradient). b is not regularised. All parameters start at zero
/// (the objective is convex).

#include <memory>
#include <string>

#include "worker/model.h"
#include "worker/models/params.h"

namespace sluice::worker::models {

/// params: {"l2": 0 … 1 (default 0)}. Softmax cross-entropy over shape.classes ≥ 2.
[[nodiscard]] Result<std::unique_ptr<Model>> make_softmax(const std::string& params, const DataShape& shape);
/// params: as softmax. Two classes: class 1 against class 0.
[[nodiscard]] Result<std::unique_ptr<Model>> make_logistic(const std::string& params, const DataShape& shape);
/// params: {"l2": 0 … 1 (default 0)}. Least squares: loss (x·w + b − target)² / 2. Targets, no classes. Metric "mse": the mean of (x·w + b − target)².
[[nodiscard]] Result<std::unique_ptr<Model>> make_least_squares(const std::string& params, const DataShape& shape);
/// The same with l2 = kRidgeL2 where none is given.
inline constexpr double kRidgeL2 = 0.01;
[[nodiscard]] Result<std::unique_ptr<Model>> make_ridge(const std::string& params, const DataShape& shape);
/// params: "l2" as softmax, and "loss": "squared-hinge" (default) or "hinge" (models/loss.h). Two classes, or more: each against the rest.
[[nodiscard]] Result<std::unique_ptr<Model>> make_svm(const std::string& params, const DataShape& shape);
/// The same under another model's name, whose params were read and may have keys of its own.
[[nodiscard]] Result<std::unique_ptr<Model>> make_svm_from(const std::string& name, const Result<Params>& params, const DataShape& shape);

}  // namespace sluice::worker::models
