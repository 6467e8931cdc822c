#include "worker/detail/local_steps.h"

#include <algorithm>
#include <atomic>
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
      adagrad_(spec.optimizer.name == "adagrad"),
      rate_(spec.optimizer.number("lr", kLocalRate)),
      weight_decay_(spec.optimizer.number("weight_decay", 0)),
      epsilon_(spec.optimizer.number("epsilon", kLocalEpsilon)),
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

void LocalSteps::copy(std::span<const LocalTable> tables) {
  parts_.resize(tables.size());
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const LocalTable& table = tables[t];
    Part& part = parts_[t];
    const std::size_t rows = table.keys.size();
    if (rows == 0 || !adagrad_) {
      part.values.assign(table.values.begin(), table.values.end());
      part.state.assign(table.state.begin(), table.state.end());
      part.width = rows == 0 ? table.values.size() : table.values.size() / rows;
      continue;
    }
    const std::size_t width = part.width = table.values.size() / rows / 2;
    part.values.resize(rows * width);
    part.state.resize(rows * width);
    const float* from = table.values.data();
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t i = 0; i < width; ++i) part.values[r * width + i] = from[2 * r * width + i];
      for (std::size_t i = 0; i < width; ++i) part.state[r * width + i] = from[(2 * r + 1) * width + i];
    }
  }
}

/// Whether each batch is shown all rows: no keys to find, no rows to copy, and a step over all of them, which for a zero gradient changes nothing. Worth it
/// where the rows are not many more than the batch's entries: stepping over one is an eighth of what finding one costs.
bool LocalSteps::takes_whole(const Model& model, std::span<const LocalTable> tables, const Batch& batch) const {
  constexpr std::size_t kRowsAnEntry = 8;
  if (!model.takes_more_rows() || weight_decay_ > 0) return false;
  return std::all_of(tables.begin(), tables.end(), [&](const LocalTable& table) { return table.keys.size() <= kRowsAnEntry * batch.indices.size(); });
}

void LocalSteps::show_whole(std::span<const LocalTable> tables) {
  views_.clear();
  targets_.clear();
  for (std::size_t t = 0; t < tables.size(); ++t) {
    parts_[t].gradient.resize(parts_[t].values.size());
    views_.push_back({parts_[t].values, tables[t].keys, run_});
    targets_.push_back({parts_[t].gradient});
  }
}

/// The batch's views and where its gradient goes: of a dense table the whole copy, of a sparse one the rows of its keys.
void LocalSteps::gather(std::span<const LocalTable> tables, const Model& model, const Batch& batch) {
  keys_.resize(tables.size());
  for (auto& keys : keys_) keys.clear();
  model.keys(batch, keys_);
  views_.clear();
  targets_.clear();
  for (std::size_t t = 0; t < tables.size(); ++t) {
    Part& part = parts_[t];
    const auto known = tables[t].keys;
    if (known.empty()) {
      part.gradient.resize(part.values.size());
      views_.push_back({part.values, {}});
    } else {
      part.at.clear();
      part.some.clear();
      for (const Key key : keys_[t]) {
        const auto found = std::lower_bound(known.begin(), known.end(), key);
        if (found == known.end() || *found != key) throw std::runtime_error("keys() of some rows names a key that keys() of all of them did not");
        part.at.push_back(static_cast<std::size_t>(found - known.begin()));
        const float* row = part.values.data() + part.at.back() * part.width;
        part.some.insert(part.some.end(), row, row + part.width);
      }
      part.gradient.resize(part.some.size());
      views_.push_back({part.some, keys_[t]});
    }
    targets_.push_back({part.gradient});
  }
}

void LocalSteps::step(std::span<const LocalTable> tables, bool whole) {
  for (std::size_t t = 0; t < tables.size(); ++t) {
    Part& part = parts_[t];
    if (whole || tables[t].keys.empty()) {
      step(part, 0, part.gradient.data(), part.gradient.size());
      continue;
    }
    for (std::size_t r = 0; r < part.at.size(); ++r) step(part, part.at[r] * part.width, part.gradient.data() + r * part.width, part.width);
  }
}

void LocalSteps::step(Part& part, std::size_t first, const float* g, std::size_t n) const {
  const float lr = static_cast<float>(rate_);
  float* values = part.values.data() + first;
  if (!adagrad_) {
    const float keep = static_cast<float>(1 - rate_ * weight_decay_);
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) values[i] = keep * values[i] - lr * g[i];
    return;
  }
  const float epsilon = static_cast<float>(epsilon_);
  float* squares = part.state.data() + first;
#pragma GCC ivdep
  for (std::size_t i = 0; i < n; ++i) {
    const float s = squares[i] + g[i] * g[i];
    squares[i] = s;
    values[i] -= lr * g[i] / (std::sqrt(s) + epsilon);
  }
}

void LocalSteps::write_changes(std::span<const LocalTable> tables) const {
  for (std::size_t t = 0; t < tables.size(); ++t) {
    const LocalTable& table = tables[t];
    const Part& part = parts_[t];
    if (table.keys.empty() || !adagrad_) {
      for (std::size_t i = 0; i < part.values.size(); ++i) table.change[i] = part.values[i] - table.values[i];
      for (std::size_t i = 0; i < part.state.size(); ++i) table.state_change[i] = part.state[i] - table.state[i];
      continue;
    }
    const std::size_t width = part.width;
    for (std::size_t r = 0; r < table.keys.size(); ++r) {
      const float* from = table.values.data() + 2 * r * width;
      float* to = table.change.data() + 2 * r * width;
      for (std::size_t i = 0; i < width; ++i) to[i] = part.values[r * width + i] - from[i];
      for (std::size_t i = 0; i < width; ++i) to[width + i] = part.state[r * width + i] - from[width + i];
    }
  }
}

Losses LocalSteps::run(Model& model, std::span<const LocalTable> tables, const Batch& rows) {
  static std::atomic<std::uint64_t> runs = 0;
  run_ = runs.fetch_add(1, std::memory_order_relaxed) + 1;
  copy(tables);
  Losses sum;
  for (std::uint32_t first = 0; first < rows.rows; first += batch_) {
    const Batch batch = slice(rows, first, std::min(batch_, rows.rows - first));
    const bool whole = takes_whole(model, tables, batch);
    if (whole) {
      show_whole(tables);
    } else {
      gather(tables, model, batch);
    }
    const Losses losses = model.update(views_, batch, targets_);
    sum.loss_sum += losses.loss_sum;
    sum.loss_squares += losses.loss_squares;
    if (clip_ > 0) clip(targets_, clip_);
    step(tables, whole);
  }
  write_changes(tables);
  return sum;
}

}  // namespace sluice::worker
