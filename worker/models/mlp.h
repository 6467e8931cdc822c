#pragma once
/// A multi-layer perceptron with softmax cross-entropy, on dense data. Tables, for layers 1 … L: w1 (features × h1), b1 (1 × h1), …, wL (h(L−1) × classes), bL
/// (1 × classes). First values: relu: normal with deviation √(2/inputs) (He et al., 2015); tanh and the last layer: uniform within ±√(6/(inputs + outputs))
/// (Glorot & Bengio, 2010); biases zero. Objective: the batch's mean loss + l2/2 · Σ|w|²; biases are not regularised.

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: {"hidden": list of layer sizes (default [128]), "activation": "relu" | "tanh" (default relu), "l2": 0 … 1 (default 0)}.
[[nodiscard]] Result<std::unique_ptr<Model>> make_mlp(const std::string& params, const DataShape& shape);

}  // namespace sluice::worker::models
