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
  [[nodiscard]] bool takes_more_rows() const override { return more; }
  bool lie = false, more = false;
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

proto::JobSpec spec_of(const std::string& optimizer, std::map<std::string, double> numbers) {
  proto::JobSpec spec;
  spec.batch = 8;
  spec.optimizer = {optimizer, std::move(numbers)};
  return spec;
}

/// A value with its sum of squares, and the step as its formula says.
struct Float {
  float value = 0, squares = 0;
  void step(const proto::OptimizerSpec& optimizer, float g) {
    const auto lr = static_cast<float>(optimizer.number("lr", 0.1));
    if (optimizer.name == "sgd") {
      value -= lr * (g + static_cast<float>(optimizer.number("weight_decay", 0)) * value);
    } else {
      squares += g * g;
      value -= lr * g / (std::sqrt(squares) + static_cast<float>(optimizer.number("epsilon", 1e-8)));
    }
  }
};

struct Trained {
  std::vector<std::vector<Key>> keys{2};
  std::map<Key, Float> w;
  Float b{0.5F, 0.25F};
  double losses = 0;
};

/// The same rows' parameters at first: no two alike.
Trained at_first(Toy& model, const Batch& whole) {
  Trained out;
  model.keys(whole, out.keys);
  for (const Key key : out.keys[0]) out.w[key] = {0.01F * static_cast<float>(key), 0.02F * static_cast<float>(key)};
  return out;
}

Trained one_by_one(Toy& model, const Rows& rows, const proto::OptimizerSpec& optimizer, Trained now) {
  for (std::size_t first = 0; first < 27; first += 8) {
    std::vector<std::uint64_t> at;
    const Batch batch = rows.batch(first, std::min<std::size_t>(8, 27 - first), at);
    std::vector<std::vector<Key>> some(2);
    model.keys(batch, some);
    std::vector<float> values, g(some[0].size()), gb(1);
    for (const Key key : some[0]) values.push_back(now.w[key].value);
    const std::vector<float> bias{now.b.value};
    const std::vector<TableView> here = {{values, some[0]}, {bias, {}}};
    const std::vector<TableUpdate> out = {{g}, {gb}};
    now.losses += model.update(here, batch, out).loss_sum;
    if (optimizer.numbers.contains("clip")) clip(out, optimizer.number("clip", 0));
    for (std::size_t i = 0; i < g.size(); ++i) now.w[some[0][i]].step(optimizer, g[i]);
    now.b.step(optimizer, gb[0]);
  }
  return now;
}

/// What local steps make of `begin`.
Trained locally(Toy& model, const Batch& whole, const proto::JobSpec& spec, Trained begin) {
  LocalSteps local(spec);
  std::vector<float> rows;
  for (const auto& [key, row] : begin.w) {
    rows.push_back(row.value);
    if (local.has_state()) rows.push_back(row.squares);
  }
  const std::vector<float> bias{begin.b.value}, squares(local.has_state() ? 1 : 0, begin.b.squares);
  std::vector<float> change(rows.size()), bias_change(1), squares_change(squares.size());
  const std::vector<LocalTable> tables = {{begin.keys[0], rows, {}, change, {}}, {{}, bias, squares, bias_change, squares_change}};
  begin.losses = local.run(model, tables, whole).loss_sum;
  std::size_t at = 0;
  for (auto& [key, row] : begin.w) {
    row.value += change[at++];
    if (local.has_state()) row.squares += change[at++];
  }
  begin.b.value += bias_change[0];
  if (local.has_state()) begin.b.squares += squares_change[0];
  return begin;
}

TEST(LocalSteps, AreTheSameStepsOneByOne) {
  const std::vector<proto::JobSpec> specs = {
      spec_of("sgd", {{"lr", 0.2}}), spec_of("sgd", {{"lr", 0.2}, {"weight_decay", 0.1}}), spec_of("sgd", {{"lr", 0.2}, {"clip", 0.3}}),    spec_of("sgd", {}),
      spec_of("adagrad", {}),        spec_of("adagrad", {{"lr", 0.2}, {"epsilon", 0.5}}),  spec_of("adagrad", {{"lr", 0.2}, {"clip", 0.3}})};
  const Rows rows = random_rows(27);  // the last batch is short
  for (const auto& spec : specs) {
    for (const bool more : {false, true}) {
      Toy model;
      model.more = more;
      std::vector<std::uint64_t> offsets;
      const Batch whole = rows.batch(0, 27, offsets);
      const Trained begin = at_first(model, whole);
      const Trained wanted = one_by_one(model, rows, spec.optimizer, begin), got = locally(model, whole, spec, begin);
      EXPECT_NEAR(got.losses, wanted.losses, 1e-5);
      for (const auto& [key, row] : wanted.w) {
        EXPECT_NEAR(got.w.at(key).value, row.value, 2e-6) << spec.optimizer.name << more << key;
        EXPECT_NEAR(got.w.at(key).squares, row.squares, 2e-6) << spec.optimizer.name << more << key;
      }
      EXPECT_NEAR(got.b.value, wanted.b.value, 2e-6);
      EXPECT_NEAR(got.b.squares, wanted.b.squares, 2e-6);
      EXPECT_NE(got.b.value, begin.b.value);
      EXPECT_EQ(got.b.squares != begin.b.squares, spec.optimizer.name == "adagrad");
    }
  }
}

/// A gradient and a table that batches only read.
class Reading final : public Model {
 public:
  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{"w", proto::TableKind::kDense, 1, 1, {}}, {"mean", proto::TableKind::kDense, 1, 1, {}, TableUse::kState}};
  }
  void keys(const Batch&, std::vector<std::vector<Key>>&) const override {}
  [[nodiscard]] Losses update(std::span<const TableView>, const Batch&, std::span<const TableUpdate>) override { return {}; }
  std::span<const float> outputs(std::span<const TableView>, const Batch&) override { return {}; }
  [[nodiscard]] Scores evaluate(std::span<const TableView>, const Batch&) override { return {}; }
};

TEST(LocalSteps, AreOfModelsWhoseTablesAreAllParameters) {
  proto::JobSpec job = spec_of("adagrad", {});
  EXPECT_EQ(update_problem(Reading(), job), "");
  job.consistency.local_steps = 4;
  EXPECT_NE(update_problem(Reading(), job).find("no local steps"), std::string::npos);
  EXPECT_EQ(update_problem(Toy(), job), "");
}

TEST(LocalSteps, AModelWhoseKeysDoNotAgreeFailsInWords) {
  const Rows rows = random_rows(27);
  Toy model;
  model.lie = true;
  std::vector<std::uint64_t> offsets;
  const Batch whole = rows.batch(0, 27, offsets);
  for (const auto& spec : {spec_of("sgd", {}), spec_of("adagrad", {})})
    EXPECT_THROW((void)locally(model, whole, spec, at_first(model, whole)), std::runtime_error);
}

}  // namespace
}  // namespace sluice::worker
