#pragma once
/// Gradient-boosted trees on histograms: Friedman, Greedy Function Approximation (Annals of Statistics 2001), in the form of Chen and Guestrin, XGBoost
/// (KDD'16; leaf weights eq. 5, gains eq. 7), level by level. Workers push sums a bin, the ends of phases split.
///
/// Passes: three that find the bins' edges (worker/models/trees/bins.h), then one for each level of each round's trees. A round is a tree: targets (squared
/// error, loss (z − target)² / 2) and two classes (logistic loss) have one; more classes have one each (softmax, with the hessian 2 p (1 − p), which bounds the
/// true one's rows). The run file's `epochs` is the number of rounds. A tree that can't be split further ends early, and so does training when nothing can be
/// split at all.
///
/// Tables. State: progress (1 × 3 + outputs: stage, round, level, first margins), trees (a row each, worker/models/trees/forest.h), edges (a row a feature: how
/// many, the edges), grid (the same twice, of the two refinements), chance (what the job's seed has drawn, for `subsample`). Statistics: labels (rows, sum or
/// class counts), sums (counts of cells first; then output × node of the level × feature × bin × (sum of gradients, sum of hessians)).
///
/// The loss is that of the trees so far, also of the levels of a tree that is still growing. Sparse rows: a feature without an entry is 0.

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// Floats that the histograms of one level may have: they are pushed with each batch.
inline constexpr std::uint64_t kGbtFloatsMax = std::uint64_t{1} << 25;

/// params: {"depth": 1 … 10 (6), "bins": 4 … 256 (64), "lr": 0.001 … 1 (0.3), "lambda": 0 … (1), "gamma": 0 … (0), "min_child_weight": 0 … (1), "subsample":
/// above 0 … 1 (1: the share of the rows that a round looks at; the loss is of all)}. Metrics "mse" and "accuracy".
[[nodiscard]] Result<std::unique_ptr<Model>> make_gbt(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
