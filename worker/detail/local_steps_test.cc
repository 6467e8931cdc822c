/// Local steps against the same steps written out.

#include "worker/detail/local_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/rng.h"

namespace sluice::worker {
namespace {

/// Linear regression on a sparse table of width 1 and a dense bias: enough to tell keys, slices and both kinds of table apart.
class Toy final : public Model {
 public:
  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{"w", proto::TableKind::kSparse, 100, 1, {}}, {"b", proto::TableKind::kDense, 1, 1, {}}};
  }
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override {
    out[0].assign(batch.indices.begin(), batch.indices.end());
    std::sort(out[0].begin(), out[0].end());
    out[0].erase(std::unique(out[0].begin(), out[0].end()), out[0].end());
    if (lie) out[0].push_back(1000 + batch.rows);
  }
  [[nodiscard]] Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    EXPECT_EQ(batch.offsets[0], 0U);
    EXPECT_EQ(batch.offsets.size(), batch.rows + 1U);
    std::fill(out[0].values.begin(), out[0].values.end(), 0.0F);
    out[1].values[0] = 0;
    Losses losses;
    for (std::uint32_t r = 0; r < batch.rows; ++r) {
      float guess = params[1].values[0];
      const auto row = [&](std::uint64_t i) {
        return static_cast<std::size_t>(std::lower_bound(params[0].keys.begin(), params[0].keys.end(), Key{batch.indices[i]}) - params[0].keys.begin());
      };
      for (std::uint64_t i = batch.offsets[r]; i < batch.offsets[r + 1]; ++i) guess += params[0].values[row(i)] * batch.values[i];
      const float error = (guess - batch.labels[r]) / static_cast<float>(batch.rows);
      for (std::uint64_t i = batch.offsets[r]; i < batch.offsets[r + 1]; ++i) out[0].values[row(i)] += error * batch.values[i];
      out[1].values[0] += error;
      losses.loss_sum += std::abs(guess - batch.labels[r]);
    }
    return losses;
  }
  std::span<const float> outputs(std::span<const TableView> params, const Batch&) override { return params[0].values; }
  [[nodiscard]] Scores evaluate(std::span<const TableView>, const Batch&) override { return {}; }
  bool lie = false;
};

struct Rows {
  std::vector<std::uint64_t> offsets{0};
  std::vector<std::uint32_t> indices;
  std::vector<float> values, labels;
  [[nodiscard]] Batch batch(std::size_t first, std::size_t n, std::vector<std::uint64_t>& at) const {
    Batch out;
    out.rows = static_cast<std::uint32_t>(n);
    out.features = 30;
    at.clear();
    for (std::size_t i = first; i <= first + n; ++i) at.push_back(offsets[i] - offsets[first]);
    out.offsets = at;
    const auto size = offsets[first + n] - offsets[first];
    out.indices = std::span(indices).subspan(offsets[first], size);
    out.values = std::span(values).subspan(offsets[first], size);
    out.labels = std::span(labels).subspan(first, n);
    return out;
  }
};

Rows random_rows(std::size_t n) {
  SeededRng rng(3);
  Rows out;
  for (std::size_t r = 0; r < n; ++r) {
    for (std::uint32_t f = 0; f < 30; ++f) {
      if (rng.below(6) != 0) continue;
      out.indices.push_back(f);
      out.values.push_back(static_cast<float>(rng.uniform()));
    }
    out.offsets.push_back(out.indices.size());
    out.labels.push_back(static_cast<float>(rng.uniform() * 4));
  }
  return out;
}

proto::JobSpec spec_of(std::map<std::string, double> numbers) {
  proto::JobSpec spec;
  spec.batch = 8;
  spec.optimizer = {"sgd", std::move(numbers)};
  return spec;
}

TEST(LocalSteps, AreTheSameStepsOneByOne) {
  for (const auto& numbers : {std::map<std::string, double>{{"lr", 0.2}}, {{"lr", 0.2}, {"weight_decay", 0.1}}, {{"lr", 0.2}, {"clip", 0.3}}, {}}) {
    const Rows rows = random_rows(27);  // the last batch is short
    Toy model;
    const auto spec = spec_of(numbers);
    std::vector<std::uint64_t> offsets;
    const Batch whole = rows.batch(0, 27, offsets);
    std::vector<std::vector<Key>> keys(2);
    model.keys(whole, keys);
    std::map<Key, float> w;
    for (const Key key : keys[0]) w[key] = 0.01F * static_cast<float>(key);
    float b = 0.5F;
    std::vector<float> start;
    for (const auto& [key, value] : w) start.push_back(value);
    const std::vector<float> bias{b};
    const std::vector<TableView> views = {{start, keys[0]}, {bias, {}}};
    std::vector<float> dw(start.size()), db(1);
    const std::vector<TableUpdate> deltas = {{dw}, {db}};
    LocalSteps local(spec);
    const Losses losses = local.run(model, views, whole, deltas);

    double sum = 0;
    for (std::size_t first = 0; first < 27; first += 8) {
      std::vector<std::uint64_t> at;
      const Batch batch = rows.batch(first, std::min<std::size_t>(8, 27 - first), at);
      std::vector<std::vector<Key>> some(2);
      model.keys(batch, some);
      std::vector<float> values, g(some[0].size()), gb(1);
      for (const Key key : some[0]) values.push_back(w[key]);
      const std::vector<float> now{b};
      const std::vector<TableView> here = {{values, some[0]}, {now, {}}};
      const std::vector<TableUpdate> out = {{g}, {gb}};
      sum += model.update(here, batch, out).loss_sum;
      if (spec.optimizer.numbers.contains("clip")) clip(out, 0.3);
      const float lr = static_cast<float>(spec.optimizer.number("lr", kSgdRate)), keep = static_cast<float>(1 - lr * spec.optimizer.number("weight_decay", 0));
      for (std::size_t i = 0; i < g.size(); ++i) w[some[0][i]] = keep * w[some[0][i]] - lr * g[i];
      b = keep * b - lr * gb[0];
    }
    EXPECT_NEAR(losses.loss_sum, sum, 1e-5);
    std::size_t i = 0;
    for (const auto& [key, value] : w) {
      EXPECT_NEAR(start[i] + dw[i], value, 1e-6) << key;
      ++i;
    }
    EXPECT_NEAR(bias[0] + db[0], b, 1e-6);
    EXPECT_NE(db[0], 0);
  }
}

TEST(LocalSteps, AModelWhoseKeysDoNotAgreeFailsInWords) {
  const Rows rows = random_rows(27);
  Toy model;
  model.lie = true;
  std::vector<std::uint64_t> offsets;
  const Batch whole = rows.batch(0, 27, offsets);
  std::vector<std::vector<Key>> keys(2);
  model.keys(whole, keys);
  const std::vector<float> start(keys[0].size()), bias(1);
  std::vector<float> dw(start.size()), db(1);
  const std::vector<TableView> views = {{start, keys[0]}, {bias, {}}};
  const std::vector<TableUpdate> deltas = {{dw}, {db}};
  LocalSteps local(spec_of({}));
  EXPECT_THROW((void)local.run(model, views, whole, deltas), std::runtime_error);
}

}  // namespace
}  // namespace sluice::worker
