#include "worker/models/loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <stdexcept>

#include "base/assert.h"

namespace sluice::worker::models {
namespace {

inline float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;  // comparisons that are false for NaN, which so passes
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + 12582912.0F;  // 1.5 · 2²³: the low bits of the sum are the rounded integer
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  const float scale = std::bit_cast<float>((std::bit_cast<std::uint32_t>(shifted) + 127U) << 23);  // 2ⁿ
  return (p * r * r + r + 1.0F) * scale;
}

/// log(1 + x), x in [0, 1]; relative error < 3e-7; NaN stays NaN. (Cephes' polynomial, around the nearer of 1 and 2.)
inline float log_of_1_plus(float x) {
  const bool far = x > 0.41421356F;
  const float t = far ? (x - 1.0F) * 0.5F : x;
  const float base = far ? 0.69314718F : 0.0F;
  float p = 7.0376836292e-2F;
  p = p * t - 1.1514610310e-1F;
  p = p * t + 1.1676998740e-1F;
  p = p * t - 1.2420140846e-1F;
  p = p * t + 1.4249322787e-1F;
  p = p * t - 1.6668057665e-1F;
  p = p * t + 2.0000714765e-1F;
  p = p * t - 2.4999993993e-1F;
  p = p * t + 3.3333331174e-1F;
  const float square = t * t;
  return base + (t + (p * t * square - 0.5F * square));
}

std::uint32_t class_of(float label, std::uint32_t classes) {
  if (!(label >= 0 && label < static_cast<float>(classes))) throw std::runtime_error(fmt::format("label {} in a job of {} classes", label, classes));
  return static_cast<std::uint32_t>(label);
}

double error_of(float output, float target) {
  if (!std::isfinite(target)) throw std::runtime_error(fmt::format("label {} in a job whose labels are targets: not a finite number", target));
  return static_cast<double>(output) - static_cast<double>(target);
}

void add(Losses& losses, double loss) {
  losses.loss_sum += loss;
  losses.loss_squares += loss * loss;
}

/// log(1 + e^(−margin)) without overflow.
double logistic(double margin) { return margin > 0 ? std::log1p(std::exp(-margin)) : std::log1p(std::exp(margin)) - margin; }

/// Rows whose label has the largest logit.
double count_right(std::span<const float> logits, std::span<const float> labels, std::uint32_t classes) {
  double count = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const float* row = logits.data() + i * classes;
    const std::uint32_t label = class_of(labels[i], classes);
    bool right = !std::isnan(row[label]);
    for (std::uint32_t c = 0; c < label; ++c) right = right && row[c] < row[label];
    for (std::uint32_t c = label; c < classes; ++c) right = right && row[c] <= row[label];
    count += right ? 1 : 0;
  }
  return count;
}

}  // namespace

void exponentials(std::span<float> values) {
  float* x = values.data();
  for (std::size_t i = 0; i < values.size(); ++i) x[i] = exponential(x[i]);
}

void tanh_in_place(std::span<float> values) {
  float* x = values.data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float e = exponential(2.0F * x[i]);
    x[i] = (e - 1.0F) / (e + 1.0F);
  }
}

void relu_in_place(std::span<float> values) {
  float* x = values.data();
  for (std::size_t i = 0; i < values.size(); ++i) x[i] = x[i] < 0.0F ? 0.0F : x[i];
}

Losses softmax_loss(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, float scale) {
  SLUICE_ASSERT(logits.size() == labels.size() * classes);
  constexpr std::size_t kBlock = 64;  // rows whose exponentials are taken in one loop
  std::array<float, kBlock> own;      // the label's logit, less the row's largest
  Losses losses;
  for (std::size_t first = 0; first < labels.size(); first += kBlock) {
    const std::size_t rows = std::min(kBlock, labels.size() - first);
    const std::span<float> block = logits.subspan(first * classes, rows * classes);
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = block.data() + i * classes;
      float largest = row[0];
      for (std::uint32_t c = 1; c < classes; ++c) largest = row[c] > largest ? row[c] : largest;
      for (std::uint32_t c = 0; c < classes; ++c) row[c] -= largest;  // so that no exponential overflows
      own[i] = row[class_of(labels[first + i], classes)];
    }
    exponentials(block);
    for (std::size_t i = 0; i < rows; ++i) {
      float* row = block.data() + i * classes;
      float sum = 0;
      for (std::uint32_t c = 0; c < classes; ++c) sum += row[c];
      add(losses, std::log(static_cast<double>(sum)) - static_cast<double>(own[i]));
      const float factor = scale / sum;
      for (std::uint32_t c = 0; c < classes; ++c) row[c] *= factor;
      row[class_of(labels[first + i], classes)] -= scale;
    }
  }
  return losses;
}

Scores softmax_scores(std::span<float> logits, std::span<const float> labels, std::uint32_t classes) {
  Scores scores;
  scores.examples = labels.size();
  scores.metric_sum = count_right(logits, labels, classes);
  scores.loss_sum = softmax_loss(logits, labels, classes, 0).loss_sum;
  return scores;
}

Losses logistic_loss(std::span<float> logits, std::span<const float> labels, float scale) {
  SLUICE_ASSERT(logits.size() == labels.size());
  constexpr std::size_t kBlock = 64;
  std::array<float, kBlock> each{}, truth{};
  Losses losses;
  for (std::size_t first = 0; first < labels.size(); first += kBlock) {
    const std::size_t rows = std::min(kBlock, labels.size() - first);
    for (std::size_t i = 0; i < rows; ++i) truth[i] = static_cast<float>(class_of(labels[first + i], 2));
    float* z = logits.data() + first;
    for (std::size_t i = 0; i < rows; ++i) {
      const float size = z[i] < 0 ? -z[i] : z[i], margin = truth[i] > 0 ? z[i] : -z[i];
      const float e = exponential(-size), of_larger = 1.0F / (1.0F + e);  // the probability of the class that z's sign speaks for
      each[i] = log_of_1_plus(e) + (margin < 0 ? size : 0.0F);
      z[i] = ((z[i] < 0 ? e * of_larger : of_larger) - truth[i]) * scale;
    }
    for (std::size_t i = 0; i < rows; ++i) add(losses, static_cast<double>(each[i]));
  }
  return losses;
}

Scores logistic_scores(std::span<const float> logits, std::span<const float> labels) {
  Scores scores;
  scores.examples = labels.size();
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const bool positive = class_of(labels[i], 2) == 1;
    const double z = static_cast<double>(logits[i]);
    scores.loss_sum += logistic(positive ? z : -z);
    scores.metric_sum += (positive ? z > 0 : z <= 0) ? 1 : 0;
  }
  return scores;
}

Losses hinge_loss(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, bool squared, float scale) {
  const std::size_t outputs = classes == 2 ? 1 : classes;
  SLUICE_ASSERT(logits.size() == labels.size() * outputs);
  Losses losses;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const std::uint32_t label = class_of(labels[i], classes);
    double loss = 0;
    for (std::size_t o = 0; o < outputs; ++o) {
      float& z = logits[i * outputs + o];
      const float y = label == (outputs == 1 ? 1 : o) ? 1.0F : -1.0F;
      const float margin = 1 - y * z;
      const float short_of = margin < 0 ? 0 : margin;  // NaN stays NaN
      loss += static_cast<double>(squared ? short_of * short_of / 2 : short_of);
      z = -y * scale * (squared ? short_of : short_of > 0 ? 1.0F : 0.0F);
    }
    add(losses, loss);
  }
  return losses;
}

Scores hinge_scores(std::span<float> logits, std::span<const float> labels, std::uint32_t classes, bool squared) {
  Scores scores;
  scores.examples = labels.size();
  if (classes == 2) {
    for (std::size_t i = 0; i < labels.size(); ++i) scores.metric_sum += (class_of(labels[i], 2) == 1 ? logits[i] > 0 : logits[i] <= 0) ? 1 : 0;
  } else {
    scores.metric_sum = count_right(logits, labels, classes);
  }
  scores.loss_sum = hinge_loss(logits, labels, classes, squared, 0).loss_sum;
  return scores;
}

Losses squares_loss(std::span<float> outputs, std::span<const float> targets, float scale) {
  SLUICE_ASSERT(outputs.size() == targets.size());
  Losses losses;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = error_of(outputs[i], targets[i]);
    add(losses, error * error / 2);
    outputs[i] = static_cast<float>(error) * scale;
  }
  return losses;
}

Scores squares_scores(std::span<const float> outputs, std::span<const float> targets) {
  Scores scores;
  scores.examples = targets.size();
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const double error = error_of(outputs[i], targets[i]);
    scores.loss_sum += error * error / 2;
    scores.metric_sum += error * error;
  }
  return scores;
}

void fill_rows(std::span<const float> row, std::span<float> out) {
  for (std::size_t at = 0; at < out.size(); at += row.size()) std::copy(row.begin(), row.end(), out.begin() + static_cast<std::ptrdiff_t>(at));
}

void column_sums(std::span<const float> matrix, std::span<float> sums) {
  std::fill(sums.begin(), sums.end(), 0.0F);
  const std::size_t columns = sums.size();
  float* into = sums.data();
  for (std::size_t at = 0; at < matrix.size(); at += columns) {
    const float* row = matrix.data() + at;
    for (std::size_t c = 0; c < columns; ++c) into[c] += row[c];
  }
}

}  // namespace sluice::worker::models
