#include "worker/models/gbt.h"

#include <cmath>

#include "base/rng.h"
#include "worker/data/fixtures.h"
#include "worker/data/stored.h"
#include "worker/models/phases.h"
#include "worker/models/trees/growth.h"
#include "worker/models/trees/margin_cache.h"

namespace sluice::worker::models {
namespace {

using fixtures::PhaseTrainer;

std::unique_ptr<Model> gbt(const std::string& params, DataShape shape, std::uint32_t epochs) {
  shape.epochs = epochs;
  auto made = make_gbt(params, shape);
  if (!made) ADD_FAILURE() << made.error().what;
  return std::move(*made);
}

struct GbtRows {
  std::vector<float> dense, labels, values;
  std::vector<std::uint64_t> offsets = {0};
  std::vector<std::uint32_t> indices;
};
/// Rows of `features` numbers, written as they are or as sparse ones.
std::shared_ptr<const Dataset> rows_of(const std::vector<std::vector<float>>& rows, const std::vector<float>& labels, std::uint32_t classes,
                                       bool sparse = false) {
  auto owned = std::make_shared<GbtRows>();
  owned->labels = labels;
  for (const auto& row : rows) {
    for (std::uint32_t f = 0; f < row.size(); ++f) {
      owned->dense.push_back(row[f]);
      if (row[f] != 0) owned->indices.push_back(f), owned->values.push_back(row[f]);
    }
    owned->offsets.push_back(owned->indices.size());
  }
  data::StoredRows stored;
  stored.labels = owned->labels;
  if (sparse) stored.offsets = owned->offsets, stored.indices = owned->indices, stored.values = owned->values;
  if (!sparse) stored.dense = owned->dense;
  return std::make_shared<data::StoredDataset>(DataShape{rows.size(), rows[0].size(), classes, sparse}, stored, 1, owned);
}
std::vector<std::vector<float>> made_up(std::size_t rows, std::size_t features, std::uint64_t seed, double zeros = 0) {
  SeededRng rng(seed);
  std::vector<std::vector<float>> out(rows, std::vector<float>(features));
  for (auto& row : out) {
    for (float& v : row) v = rng.uniform() < zeros ? 0 : static_cast<float>(2 * rng.uniform() - 1);
  }
  return out;
}

/// By hand: targets 1, 2, 6, 7 at x = 0, 1, 2, 3: the mean is 4, the gradients 3, 2, −2, −3; λ = 0, lr = 1. Level 0 splits at 1.5 (gain ½ (25/2 + 25/2)),
/// leaves 1.5 and 6.5; level 1 splits both: every row is met exactly.
TEST(Gbt, ASmallTreeIsTheOneByHand) {
  const auto data = rows_of({{0}, {1}, {2}, {3}}, {1, 2, 6, 7}, 0);
  PhaseTrainer trainer(gbt(R"({"depth": 2, "bins": 8, "lr": 1, "lambda": 0, "min_child_weight": 0})", data->shape(), 1), data, 1);
  for (std::uint32_t p = 0; p < trees::kBinPasses; ++p) trainer.pass();
  // Edges lie half-way between cells, whose ends are neighbouring floats.
  const auto near = [](const std::vector<float>& seen, const std::vector<float>& wanted) {
    ASSERT_EQ(seen.size(), wanted.size());
    for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_NEAR(seen[i], wanted[i], 1e-5) << i;
  };
  near(trainer.values[trees::kEdges], {3, 0.5F, 1.5F, 2.5F, 0, 0, 0, 0});
  EXPECT_FLOAT_EQ(trainer.values[trees::kProgress][3], 4);
  EXPECT_DOUBLE_EQ(trainer.pass(), (9 + 4 + 4 + 9) / 8.0);
  const trees::TreeShape shape{2, 1};
  const auto& tree = trainer.values[trees::kTrees];
  EXPECT_EQ(tree[shape.feature(0)], 1);
  EXPECT_NEAR(tree[shape.threshold(0)], 1.5F, 1e-5);
  EXPECT_FLOAT_EQ(tree[6], -2.5F);  // leaves 0 and 2: the leftmost under the root's children
  EXPECT_FLOAT_EQ(tree[8], 2.5F);
  EXPECT_FALSE(trainer.end.done);
  EXPECT_NEAR(trainer.pass(), 4 * 0.25 / 8, 1e-9);  // of the tree's first level
  near(trainer.values[trees::kTrees], {1, 1, 1, 1.5F, 0.5F, 2.5F, -3, -2, 2, 3});
  EXPECT_TRUE(trainer.end.done);
  EXPECT_NEAR(trainer.evaluate(data).loss_sum, 0, 1e-9);
}

/// Whether rows come in one batch or many, the sums are the same; of more rows than a block too.
TEST(Gbt, SumsOfPartsAreTheSumsOfTheWhole) {
  for (const std::uint32_t classes : {0U, 2U, 3U}) {
    for (const bool sparse : {false, true}) {
      const auto data = sparse ? fixtures::sparse_rows(5000, 20, classes, 3) : fixtures::dense_rows(5000, 7, classes, 3);
      const auto model = [&] { return gbt(R"({"depth": 3, "bins": 16})", data->shape(), 3); };
      PhaseTrainer whole(model(), data, 3, 5000), parts(model(), data, 3, 37);
      while (!whole.end.done) {
        const double first = whole.sum_up(), second = parts.sum_up();
        EXPECT_NEAR(first, second, 1e-6 * first);
        for (const std::size_t t : {trees::kLabels, trees::kSums}) {
          double worst = 0, largest = 0;
          for (std::size_t i = 0; i < whole.values[t].size(); ++i) {
            worst = std::max(worst, std::abs(static_cast<double>(whole.values[t][i] - parts.values[t][i])));
            largest = std::max(largest, std::abs(static_cast<double>(whole.values[t][i])));
          }
          if (t == trees::kSums) { EXPECT_GT(largest, 0); }
          EXPECT_LT(worst, 3e-6 * std::max(largest, 1.0)) << classes << sparse << " phase " << whole.phase;
        }
        parts.values = whole.values;  // equal sums may split differently where two splits gain the same
        whole.finish(), parts.finish();
        EXPECT_EQ(whole.values, parts.values);
      }
    }
  }
}

TEST(Gbt, SparseRowsGrowTheTreesOfTheSameRowsWrittenOut) {
  const auto rows = made_up(600, 9, 11, 0.6);
  std::vector<float> labels;
  for (const auto& row : rows) labels.push_back(row[0] + row[1] * row[2] > 0.1F ? 1 : 0);
  const auto dense = rows_of(rows, labels, 2), sparse = rows_of(rows, labels, 2, true);
  const std::string params = R"({"depth": 4, "bins": 32, "min_child_weight": 0.5})";
  PhaseTrainer first(gbt(params, dense->shape(), 5), dense, 5), second(gbt(params, sparse->shape(), 5), sparse, 5);
  const auto a = first.train(), b = second.train();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t p = 0; p < a.size(); ++p) EXPECT_NEAR(a[p], b[p], 1e-5) << p;
  EXPECT_EQ(first.values[trees::kEdges], second.values[trees::kEdges]);
}

/// The loss reported falls with each level of each tree, and ends far below the first.
TEST(Gbt, TheLossFallsAndWhatNoLinearModelCanLearnIsLearnt) {
  const auto rows = made_up(2000, 5, 13);
  for (const std::uint32_t classes : {0U, 2U, 3U}) {
    std::vector<float> labels;
    for (const auto& row : rows) {
      const float product = row[0] * row[1];
      labels.push_back(classes == 0 ? product + 2 : classes == 2 ? (product > 0 ? 1.0F : 0.0F) : product > 0.15F ? 2.0F : product > -0.15F ? 1.0F : 0.0F);
    }
    const auto data = rows_of(rows, labels, classes);
    PhaseTrainer trainer(gbt(R"({"depth": 4})", data->shape(), 20), data, 20);
    const auto losses = trainer.train();
    EXPECT_TRUE(trainer.end.done);
    EXPECT_EQ(losses.size(), trees::kBinPasses + 20 * 4);
    for (std::size_t p = trees::kBinPasses + 1; p < losses.size(); ++p) EXPECT_LE(losses[p], losses[p - 1] + 1e-7) << "pass " << p;
    const Scores scores = trainer.evaluate(data);
    EXPECT_LT(scores.loss_sum / 2000, (classes == 0 ? 0.05 : 0.3) * losses[2]);
    if (classes > 0) { EXPECT_GT(scores.metric_sum, 0.95 * 2000); }
    // What a used model remembers of rows changes nothing: a new one says the same, bit for bit.
    PhaseTrainer fresh(gbt(R"({"depth": 4})", data->shape(), 20), data, 20);
    fresh.values = trainer.values;
    EXPECT_EQ(fresh.evaluate(data).loss_sum, scores.loss_sum);
    // Other trees: what it remembers of the old ones is forgotten.
    for (float& v : trainer.values[trees::kTrees]) v = v > 0 && v < 1 ? v * 0.5F : v;
    fresh.values = trainer.values;
    PhaseTrainer third(gbt(R"({"depth": 4})", data->shape(), 20), data, 20);
    third.values = trainer.values;
    EXPECT_NE(trainer.evaluate(data).loss_sum, scores.loss_sum);
    EXPECT_EQ(trainer.evaluate(data).loss_sum, third.evaluate(data).loss_sum);
    EXPECT_EQ(fresh.evaluate(data).loss_sum, third.evaluate(data).loss_sum);
  }
}

TEST(Gbt, ARoundLooksAtItsShareOfTheRowsAndTheSeedSaysWhich) {
  const auto data = fixtures::dense_rows(4000, 6, 0, 5);
  const auto counted = [&](std::uint64_t seed, std::uint32_t rounds) {
    PhaseTrainer trainer(gbt(R"({"depth": 1, "bins": 16, "subsample": 0.25})", data->shape(), 4), data, 4, 512, seed);
    for (std::uint32_t p = 0; p < trees::kBinPasses + rounds; ++p) trainer.pass();
    trainer.sum_up();
    double rows = 0;
    for (std::size_t b = 0; b < 16; ++b) rows += static_cast<double>(trainer.values[trees::kSums][2 * b + 1]);
    return std::pair(rows, trainer.values[trees::kSums]);
  };
  const auto first = counted(1, 0);
  EXPECT_NEAR(first.first, 1000, 100);
  EXPECT_EQ(first, counted(1, 0));
  EXPECT_NE(first.second, counted(2, 0).second);
  EXPECT_NE(first.first, counted(1, 1).first);
}

TEST(Gbt, TrainingEndsWhereNothingCanBeSplit) {
  const auto data = rows_of({{1}, {1}, {1}, {1}}, {1, 2, 3, 4}, 0);
  PhaseTrainer trainer(gbt("{}", data->shape(), 50), data, 50);
  EXPECT_EQ(trainer.train().size(), trees::kBinPasses + 1U);
  EXPECT_EQ(trainer.end.reason, "no split gains anything");
  EXPECT_NEAR(trainer.evaluate(data).loss_sum, (2.25 + 0.25), 1e-5);
}

TEST(Gbt, WhatDoesNotFitIsRefusedWithTheNumbers) {
  const auto words = [](const std::string& params, const DataShape& shape) {
    const auto made = make_gbt(params, shape);
    return made ? std::string() : made.error().what;
  };
  EXPECT_EQ(words("{}", {100, 784, 10, false, 10}), "");
  EXPECT_NE(words("{}", {100, 79298, 2, true, 10}).find("79298 features × 64 bins × 32 nodes"), std::string::npos);
  EXPECT_NE(words("{}", {100, 4, 300, false, 10}).find("2 to 256 classes, this has 300"), std::string::npos);
  EXPECT_NE(words("{}", {100, 0, 2, false, 10}).find("feature"), std::string::npos);
  EXPECT_NE(words(R"({"depth": 10})", {100, 4, 200, false, 100000}).find("fewer bins or a smaller depth"), std::string::npos);
  EXPECT_NE(words(R"({"depth": 6})", {100, 4, 2, false, 4000000}).find("rounds"), std::string::npos);
  EXPECT_NE(words(R"({"bins": 257})", {100, 4, 2, false, 1}).find("from 4 to 256"), std::string::npos);
}

/// A state that training never comes to is said in words; a NaN in it shows in the loss or is said.
TEST(Gbt, AStateThatIsNoneIsSaid) {
  const auto data = fixtures::dense_rows(50, 3, 2, 5);
  PhaseTrainer trainer(gbt(R"({"depth": 2})", data->shape(), 3), data, 3);
  while (trainer.phase < trees::kBinPasses + 3) trainer.pass();
  const auto good = trainer.values;
  const auto broken = [&](std::size_t table, std::size_t at, float value) {
    trainer.values = good;
    trainer.values[table][at] = value;
    try {
      return std::isnan(trainer.evaluate(data).loss_sum);
    } catch (const std::runtime_error&) { return true; }
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float value : {nan, -1.0F, 1e9F, 0.5F}) EXPECT_TRUE(broken(trees::kProgress, 0, value)) << value;
  for (const float value : {nan, -1.0F, 4.0F}) EXPECT_TRUE(broken(trees::kTrees, 0, value)) << value;
  EXPECT_TRUE(broken(trees::kProgress, 3, nan));
  trainer.values = good;
  trainer.values[trees::kEdges][0] = 1000;
  EXPECT_THROW((void)trainer.sum_up(), std::runtime_error);
}

TEST(TreeMargins, ARowIsFoundAgainUntilItsPlaceIsTaken) {
  trees::MarginCache cache(100, 2);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const auto entry = cache.entry({mix64(i), i});
    ASSERT_EQ(entry.trees, 0U);
    entry.trees = 7;
    entry.margins[0] = static_cast<float>(i);
  }
  int found = 0;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    const auto entry = cache.entry({mix64(i), i});
    if (entry.trees == 0) continue;
    ++found;
    EXPECT_EQ(entry.margins[0], static_cast<float>(i));
  }
  EXPECT_GT(found, 95);
  EXPECT_EQ(cache.entry({mix64(5), 6}).trees, 0U);  // the other half of the hash is looked at too
  cache.clear();
  EXPECT_EQ(cache.entry({mix64(9), 9}).trees, 0U);
}

}  // namespace
}  // namespace sluice::worker::models
