#include "worker/detail/local_steps.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace sluice::worker {

void clip(std::span<const TableUpdate> update, double most) {
  double squares = 0;
  for (const TableUpdate& table : update) {
    for (const float g : table.values) squares += static_cast<double>(g) * static_cast<double>(g);
  }
  const double norm = std::sqrt(squares);
  if (!(norm > most) || !std::isfinite(norm)) return;
  const float factor = static_cast<float>(most / norm);
  for (const TableUpdate& table : update) {
    for (float& g : table.values) g *= factor;
  }
}

LocalSteps::LocalSteps(const proto::JobSpec& spec)
    : batch_(std::max(spec.batch, 1U)),
      rate_(spec.optimizer.number("lr", kSgdRate)),
      weight_decay_(spec.optimizer.number("weight_decay", 0)),
      clip_(spec.optimizer.number("clip", 0)) {}

Batch LocalSteps::slice(const Batch& rows, std::uint32_t first, std::uint32_t n) {
  Batch out = rows;
  out.rows = n;
  out.labels = rows.labels.subspan(first, n);
  if (rows.offsets.empty()) {
    out.dense = rows.dense.subspan(first * rows.features, n * rows.features);
    return out;
  }
  const std::uint64_t begin = rows.offsets[first], end = rows.offsets[first + n];
  offsets_.resize(n + 1);
  for (std::uint32_t i = 0; i <= n; ++i) offsets_[i] = rows.offsets[first + i] - begin;
  out.offsets = offsets_;
  out.indices = rows.indices.subspan(begin, end - begin);
  out.values = rows.values.subspan(begin, end - begin);
  return out;
}

/// The batch's views and where its gradient goes: of a dense table the whole copy, of a sparse one the rows of its keys.
void LocalSteps::gather(std::span<const TableView> start) {
  views_.clear();
  targets_.clear();
  for (std::size_t t = 0; t < start.size(); ++t) {
    Part& part = parts_[t];
    if (start[t].keys.empty()) {
      part.gradient.resize(values_[t].size());
      views_.push_back({values_[t], {}});
    } else {
      const std::size_t width = values_[t].size() / start[t].keys.size();
      part.at.clear();
      part.values.clear();
      for (const Key key : keys_[t]) {
        const auto found = std::lower_bound(start[t].keys.begin(), start[t].keys.end(), key);
        if (found == start[t].keys.end() || *found != key) throw std::runtime_error("keys() of some rows names a key that keys() of all of them did not");
        part.at.push_back(static_cast<std::size_t>(found - start[t].keys.begin()));
        const float* row = values_[t].data() + part.at.back() * width;
        part.values.insert(part.values.end(), row, row + width);
      }
      part.gradient.resize(part.values.size());
      views_.push_back({part.values, keys_[t]});
    }
    targets_.push_back({part.gradient});
  }
}

void LocalSteps::step(std::span<const TableView> start) {
  const float lr = static_cast<float>(rate_), keep = static_cast<float>(1 - rate_ * weight_decay_);
  for (std::size_t t = 0; t < start.size(); ++t) {
    const std::vector<float>& g = parts_[t].gradient;
    if (start[t].keys.empty()) {
      for (std::size_t i = 0; i < g.size(); ++i) values_[t][i] = keep * values_[t][i] - lr * g[i];
      continue;
    }
    const std::size_t width = values_[t].size() / start[t].keys.size();
    for (std::size_t r = 0; r < parts_[t].at.size(); ++r) {
      float* row = values_[t].data() + parts_[t].at[r] * width;
      for (std::size_t i = 0; i < width; ++i) row[i] = keep * row[i] - lr * g[r * width + i];
    }
  }
}

Losses LocalSteps::run(Model& model, std::span<const TableView> start, const Batch& rows, std::span<const TableUpdate> delta) {
  values_.resize(start.size());
  parts_.resize(start.size());
  keys_.resize(start.size());
  for (std::size_t t = 0; t < start.size(); ++t) values_[t].assign(start[t].values.begin(), start[t].values.end());
  Losses sum;
  for (std::uint32_t first = 0; first < rows.rows; first += batch_) {
    const Batch batch = slice(rows, first, std::min(batch_, rows.rows - first));
    for (auto& keys : keys_) keys.clear();
    model.keys(batch, keys_);
    gather(start);
    const Losses losses = model.update(views_, batch, targets_);
    sum.loss_sum += losses.loss_sum;
    sum.loss_squares += losses.loss_squares;
    if (clip_ > 0) clip(targets_, clip_);
    step(start);
  }
  for (std::size_t t = 0; t < start.size(); ++t) {
    for (std::size_t i = 0; i < values_[t].size(); ++i) delta[t].values[i] = values_[t][i] - start[t].values[i];
  }
  return sum;
}

}  // namespace sluice::worker
