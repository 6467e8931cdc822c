#pragma once
/// For tests: the models' objective and gradient written as plain loops in double precision, on dense rows (sparse rows are written out). A second
/// implementation on purpose.

#include <cmath>
#include <vector>

#include "worker/model.h"

namespace sluice::worker::fixtures {

using Matrix = std::vector<std::vector<double>>;  // rows of columns

inline Matrix written_out(const Batch& batch) {
  Matrix x(batch.rows, std::vector<double>(batch.features));
  for (std::uint32_t i = 0; i < batch.rows; ++i) {
    if (batch.offsets.empty()) {
      for (std::uint64_t f = 0; f < batch.features; ++f) x[i][f] = static_cast<double>(batch.dense[i * batch.features + f]);
    } else {
      for (std::uint64_t e = batch.offsets[i]; e < batch.offsets[i + 1]; ++e) x[i][batch.indices[e]] = static_cast<double>(batch.values[e]);
    }
  }
  return x;
}

/// The features of the kernel (1 + gamma · x·y)² of each row, in the order of models/polynomial.h.
inline Matrix polynomial(const Matrix& rows, double gamma) {
  Matrix out;
  for (const auto& x : rows) {
    auto& features = out.emplace_back();
    for (const double v : x) features.push_back(std::sqrt(2 * gamma) * v);
    for (std::size_t i = 0; i < x.size(); ++i) {
      for (std::size_t j = i; j < x.size(); ++j) features.push_back((i == j ? gamma : std::sqrt(2.0) * gamma) * x[i] * x[j]);
    }
  }
  return out;
}

/// Layers of weights and biases; no hidden layer: a linear model; one output: logistic regression, or two classes of a support vector machine.
struct ReferenceNet {
  enum class Activation { kRelu, kTanh };
  std::vector<Matrix> w;               // [layer][input][output]
  std::vector<std::vector<double>> b;  // [layer][output]
  Activation activation = Activation::kRelu;
  enum class Loss { kCrossEntropy, kHinge, kSquaredHinge, kSquares } loss_kind = Loss::kCrossEntropy;

  /// Mean loss of the rows; adds its gradient to dw, db (shapes of w, b) if they are not null.
  double loss(const Matrix& x, const std::vector<float>& labels, std::vector<Matrix>* dw, std::vector<std::vector<double>>* db) const {
    double sum = 0;
    const auto n = static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::vector<std::vector<double>> a{x[i]};
      for (std::size_t l = 0; l < w.size(); ++l) a.push_back(layer(l, a.back()));
      std::vector<double> delta;
      sum += output_loss(a.back(), labels[i], delta);
      if (dw == nullptr) continue;
      for (std::size_t l = w.size(); l-- > 0;) {
        std::vector<double> before(a[l].size());
        for (std::size_t out = 0; out < delta.size(); ++out) {
          (*db)[l][out] += delta[out] / n;
          for (std::size_t in = 0; in < before.size(); ++in) {
            (*dw)[l][in][out] += a[l][in] * delta[out] / n;
            before[in] += w[l][in][out] * delta[out];
          }
        }
        for (std::size_t in = 0; l > 0 && in < before.size(); ++in)
          before[in] *= activation == Activation::kRelu ? (a[l][in] > 0 ? 1 : 0) : 1 - a[l][in] * a[l][in];
        delta = before;
      }
    }
    return sum / n;
  }

 private:
  [[nodiscard]] std::vector<double> layer(std::size_t l, const std::vector<double>& in) const {
    std::vector<double> z = b[l];
    for (std::size_t i = 0; i < in.size(); ++i) {
      for (std::size_t o = 0; o < z.size(); ++o) z[o] += in[i] * w[l][i][o];
    }
    if (l + 1 < w.size()) {
      for (double& v : z) v = activation == Activation::kRelu ? std::fmax(0, v) : std::tanh(v);
    }
    return z;
  }
  [[nodiscard]] double output_loss(const std::vector<double>& z, float given, std::vector<double>& delta) const {
    if (loss_kind == Loss::kSquares) {
      delta = {z[0] - static_cast<double>(given)};
      return delta[0] * delta[0] / 2;
    }
    const auto label = static_cast<std::size_t>(given);
    if (loss_kind != Loss::kCrossEntropy) {
      double sum = 0;
      for (std::size_t o = 0; o < z.size(); ++o) {
        const double y = (z.size() == 1 ? label == 1 : label == o) ? 1 : -1, short_of = std::fmax(0, 1 - y * z[o]);
        sum += loss_kind == Loss::kHinge ? short_of : short_of * short_of / 2;
        delta.push_back(-y * (loss_kind == Loss::kHinge ? (short_of > 0 ? 1 : 0) : short_of));
      }
      return sum;
    }
    if (z.size() == 1) {
      delta = {1 / (1 + std::exp(-z[0])) - static_cast<double>(label)};
      return std::log1p(std::exp(label == 1 ? -z[0] : z[0]));
    }
    double sum = 0;
    for (const double v : z) sum += std::exp(v);
    for (std::size_t c = 0; c < z.size(); ++c) delta.push_back(std::exp(z[c]) / sum - (c == label ? 1 : 0));
    return std::log(sum) - z[label];
  }
};

}  // namespace sluice::worker::fixtures
