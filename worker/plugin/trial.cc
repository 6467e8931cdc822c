#include "worker/plugin/trial.h"

#include <fmt/format.h>

#include <cmath>

#include "base/rng.h"

namespace sluice::worker::plugin {
namespace {
constexpr std::uint64_t kDenseFeatures = 11, kSparseFeatures = 20, kTableFloatsTried = std::uint64_t{1} << 26;

float drawn(std::uint64_t a, std::uint64_t b) { return static_cast<float>(unit_double(mix64(mix64(11, a), b)) - 0.5); }
}  // namespace

MadeRows::MadeRows(bool sparse, std::uint32_t classes, std::uint32_t rows, std::uint64_t features) {
  shape_ = {rows, features > 0 ? features : sparse ? kSparseFeatures : kDenseFeatures, classes, sparse};
  offsets_.push_back(0);
  for (std::uint32_t i = 0; i < rows; ++i) {
    float sum = 0;
    for (std::uint32_t f = 0; f < shape_.features; ++f) {
      const float x = drawn(i, f);
      if (sparse && mix64(i, f) % 5 != 0) continue;
      if (f < 4) sum += x * static_cast<float>(f + 1);
      if (sparse) {
        indices_.push_back(f);
        values_.push_back(x);
      } else {
        dense_.push_back(x);
      }
    }
    offsets_.push_back(indices_.size());
    const auto level = static_cast<std::uint64_t>((sum + 10) * 2);
    labels_.push_back(classes == 0 ? sum : static_cast<float>((level + mix64(i, 99) % 2) % classes));
  }
}

Batch MadeRows::batch(std::uint32_t first, std::uint32_t count) {
  Batch out;
  out.rows = count;
  out.features = shape_.features;
  out.labels = std::span<const float>(labels_).subspan(first, count);
  if (!shape_.sparse) {
    out.dense = std::span<const float>(dense_).subspan(first * shape_.features, count * shape_.features);
    return out;
  }
  part_.clear();
  for (std::uint32_t i = 0; i <= count; ++i) part_.push_back(offsets_[first + i] - offsets_[first]);
  out.offsets = part_;
  out.indices = std::span<const std::uint32_t>(indices_).subspan(offsets_[first], part_.back());
  out.values = std::span<const float>(values_).subspan(offsets_[first], part_.back());
  return out;
}

std::string MadeRows::words() const {
  return fmt::format("{} rows, {}", shape_.sparse ? "sparse" : "dense",
                     shape_.classes == 0 ? std::string("targets") : fmt::format("{} classes", shape_.classes));
}

Trial::Trial(std::unique_ptr<Model> model) : model_(std::move(model)), tables_(model_->tables()) {
  values_.resize(tables_.size());
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    const bool dense = tables_[t].kind == proto::TableKind::kDense;
    if (dense && tables_[t].rows > kTableFloatsTried / std::max(tables_[t].cols, 1U))
      throw std::length_error(fmt::format("table '{}' is {} × {}, too large to be tried", tables_[t].name, tables_[t].rows, tables_[t].cols));
    auto& values = dense_.emplace_back(dense ? tables_[t].rows * tables_[t].cols : 0);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = drawn(t + 1000, i);
  }
}

float& Trial::value(std::size_t table, Key key, std::size_t i) {
  return tables_[table].kind == proto::TableKind::kDense ? dense_[table][i] : rows_.at({table, key})[i];
}

/// Views of all tables for the batch, with memory for an update as the servers' clients give it.
void Trial::gather(const Batch& batch, Outcome& out, float fill) {
  out.keys.assign(tables_.size(), {});
  if (batch.rows > 0) model_->keys(batch, out.keys);
  views_.clear();
  targets_.clear();
  out.updates.assign(tables_.size(), {});
  for (std::size_t t = 0; t < tables_.size(); ++t) {
    std::span<const float> values = dense_[t];
    if (tables_[t].kind == proto::TableKind::kSparse) {
      values_[t].clear();
      for (const Key key : out.keys[t]) {
        auto [row, is_new] = rows_.try_emplace({t, key}, tables_[t].cols);
        for (std::size_t i = 0; is_new && i < row->second.size(); ++i) row->second[i] = drawn(t + 2000, mix64(key, i));
        values_[t].insert(values_[t].end(), row->second.begin(), row->second.end());
      }
      values = values_[t];
    }
    const bool whole = batch.rows == 0;  // finish_phase() sees and may change all
    if (whole || tables_[t].use != TableUse::kState) out.updates[t].assign(values.size(), fill);
    views_.push_back({whole || tables_[t].use != TableUse::kStatistics ? values : std::span<const float>(), out.keys[t]});
    targets_.push_back({out.updates[t]});
  }
}

Outcome Trial::update(const Batch& batch, float fill) {
  Outcome out;
  gather(batch, out, fill);
  out.losses = model_->update(views_, batch, targets_);
  return out;
}

Scores Trial::evaluate(const Batch& batch) {
  Outcome out;
  gather(batch, out, 0);
  return model_->evaluate(views_, batch);
}

std::vector<float> Trial::outputs(const Batch& batch) {
  Outcome out;
  gather(batch, out, 0);
  const auto got = model_->outputs(views_, batch);
  return {got.begin(), got.end()};
}

Outcome Trial::finish_phase(PhaseEnd& end, float fill) {
  Outcome out;
  gather({}, out, fill);
  end = model_->finish_phase(views_, 0, targets_);
  return out;
}

}  // namespace sluice::worker::plugin
