#pragma once
/// k-means: Lloyd's algorithm (IEEE Trans. Inf. Theory 1982) in passes over the data, a model with phases. Dense or sparse rows; labels are not looked at.
///
/// Tables, dense: `centroids` (features × k) and `progress` (phases ended), pulled; `seed` (one number, drawn from the job's seed), pulled; `sums` (features ×
/// k: of each cluster's rows minus its centroid) and `counts` (k × 2: rows, sum of squared distances), pushed to; `sample` (places × features) and `sampled`
/// (places × 2: rows, sum of their squared norms), pushed to in the first pass only.
///
/// The first pass draws a sample: each row falls, by a hash of its values and the seed, into one of the places or, mostly, into none. Statistics are sums, so a
/// place is of use where all that fell into it is equal (Cauchy and Schwarz's inequality is an equality then): one row, as a rule. With as many places as rows
/// are expected to fall, 1/e of them. On that sample the first centroids are found: k-means++ (Arthur, Vassilvitskii, SODA 2007) and Lloyd's algorithm, some
/// times, the best kept; or, with init "random", k rows of it. Each later pass ends with every centroid at its rows' mean. A cluster without rows is given half
/// of the one with the largest sum of squared distances: the two are put apart from its centroid, along a random direction, by half of its rows' rms distance.
/// Training ends when no centroid has moved by more than tol × the rms distance of all rows from their centroids.
///
/// Loss: a row's squared distance to the nearest centroid (first pass: to the origin); metric "inertia": the same. Outputs: minus the squared distance to each.

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: {"k": 1 … 65536 (default 8), "tol": 0 … 1 (default 0.001), "init": "k-means++" (default) or "random"}. `epochs` of the job: passes of Lloyd's
/// algorithm, at most.
[[nodiscard]] Result<std::unique_ptr<Model>> make_kmeans(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
