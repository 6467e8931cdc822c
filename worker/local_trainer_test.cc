#include "worker/local_trainer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/rng.h"
#include "worker/data/fixtures.h"
#include "worker/kernels.h"

namespace sluice::worker {
namespace {

std::unique_ptr<Model> make(const std::string& name, const std::string& params, const DataShape& shape) {
  auto made = (**builtin_models().find(name))(params, shape);
  EXPECT_TRUE(made);
  return std::move(*made);
}

/// An epoch takes each row once, whatever the chunks and the batch.
TEST(LocalTrainer, AnEpochTakesEachRowOnce) {
  const auto data = fixtures::dense_rows(103, 3, 2, 1);
  for (const std::uint32_t chunk : {10U, 32U, 103U, 4096U}) {
    for (const std::uint32_t batch : {1U, 7U, 64U}) {
      LocalTrainer trainer(make("softmax", "{}", data->shape()), data, {.batch = batch, .chunk_rows = chunk});
      EXPECT_EQ(trainer.train(trainer.epoch_batches()), 103U) << chunk << " " << batch;
      EXPECT_EQ(trainer.train(trainer.epoch_batches()), 103U);
    }
  }
}

TEST(LocalTrainer, SameSeedSameLosses) {
  const auto data = fixtures::dense_rows(200, 6, 3, 1);
  std::vector<double> first, second, other;
  LocalTrainer(make("mlp", "{}", data->shape()), data, {.seed = 4}).train(20, &first);
  LocalTrainer(make("mlp", "{}", data->shape()), data, {.seed = 4}).train(20, &second);
  LocalTrainer(make("mlp", "{}", data->shape()), data, {.seed = 5}).train(20, &other);
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other);
}

TEST(LocalTrainer, FirstValuesHaveTheDeclaredSpread) {
  const auto moments = [](const proto::InitSpec& init) {
    double sum = 0, squares = 0;
    for (std::uint64_t i = 0; i < 100'000; ++i) {
      const auto x = static_cast<double>(first_value(init, 1, 2, i));
      sum += x, squares += x * x;
    }
    return std::pair(sum / 1e5, std::sqrt(squares / 1e5));
  };
  EXPECT_EQ(moments({}).second, 0);
  const auto [uniform_mean, uniform_deviation] = moments({proto::InitKind::kUniform, 0.3F});
  EXPECT_NEAR(uniform_mean, 0, 0.003);
  EXPECT_NEAR(uniform_deviation, 0.3 / std::sqrt(3), 0.003);
  const auto [normal_mean, normal_deviation] = moments({proto::InitKind::kNormal, 0.3F});
  EXPECT_NEAR(normal_mean, 0, 0.005);
  EXPECT_NEAR(normal_deviation, 0.3, 0.005);
}

/// On made-up rows that a linear rule labels, every model learns to tell the held-out ones.
TEST(LocalTrainer, LearnsALinearRule) {
  const auto learns = [](const char* name, const std::shared_ptr<const Dataset>& data, float lr) {
    LocalTrainer trainer(make(name, "{}", data->shape()), data, {.batch = 20, .lr = lr});
    trainer.train(50 * trainer.epoch_batches());
    const Scores scores = trainer.evaluate(data);
    EXPECT_EQ(scores.examples, data->shape().rows);
    return scores.metric_sum / static_cast<double>(scores.examples);
  };
  EXPECT_GT(learns("softmax", fixtures::dense_rows(500, 8, 3, 1), 0.5F), 0.95);
  EXPECT_GT(learns("mlp", fixtures::dense_rows(500, 8, 3, 1), 0.1F), 0.95);
  EXPECT_GT(learns("logistic", fixtures::dense_rows(500, 8, 2, 1), 0.5F), 0.95);
  EXPECT_GT(learns("softmax", fixtures::sparse_rows(500, 40, 3, 1), 2), 0.9);
  EXPECT_GT(learns("logistic", fixtures::sparse_rows(500, 40, 2, 1), 2), 0.9);
}

/// Labels that no linear rule can tell: the sign of x · y. Models with products of features learn it.
TEST(LocalTrainer, LearnsAProductWhereTheModelHasProducts) {
  const fixtures::Folder folder;
  std::string lines;
  SeededRng rng(5);
  for (int i = 0; i < 600; ++i) {
    const double x = 2 * unit_double(rng.next()) - 1, y = 2 * unit_double(rng.next()) - 1;
    lines += fmt::format("{} 1:{:.4f} 100:{:.4f}\n", x * y > 0 ? 1 : -1, x, y);
  }
  proto::DataSpec spec;
  spec.name = "products";
  spec.format = "libsvm";
  spec.train = {folder.write("train.svm", lines)};
  const auto opened = open_data(spec, {.cache_dir = folder.path()});
  ASSERT_TRUE(opened) << opened.error().what;
  const auto accuracy = [&](const char* name, const char* params) {
    LocalTrainer trainer(make(name, params, opened->train->shape()), opened->train, {.batch = 20, .lr = 0.5F});
    trainer.train(60 * trainer.epoch_batches());
    return trainer.evaluate(opened->train).metric_sum / 600;
  };
  EXPECT_LT(accuracy("svm", "{}"), 0.7);
  EXPECT_LT(accuracy("logistic", "{}"), 0.7);
  EXPECT_GT(accuracy("svm-poly", "{}"), 0.95);
  EXPECT_GT(accuracy("svm-poly", R"({"bits": 12})"), 0.95) << "5150 features and pairs share 4096 places";
  EXPECT_GT(accuracy("fm", R"({"rank": 2})"), 0.95);
}

/// Real data, where it is installed: what the sweep's models reach in a few serial epochs.
TEST(LocalTrainer, LearnsFashionMnist) {
  const std::string root = "/usr/share/datasets/fashion-mnist/";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  use_one_blas_thread();
  const fixtures::Folder folder;
  proto::DataSpec spec;
  spec.name = "fashion";
  spec.format = "idx";
  spec.train = {root + "train-images-idx3-ubyte.gz", root + "train-labels-idx1-ubyte.gz"};
  spec.test = {root + "t10k-images-idx3-ubyte.gz", root + "t10k-labels-idx1-ubyte.gz"};
  const auto opened = open_data(spec, {.cache_dir = folder.path()});
  ASSERT_TRUE(opened) << opened.error().what;
  const auto accuracy = [&](const char* name, const char* params, std::uint64_t epochs) {
    LocalTrainer trainer(make(name, params, opened->train->shape()), opened->train, {.lr = 0.1F});
    trainer.train(epochs * trainer.epoch_batches());
    const Scores scores = trainer.evaluate(opened->test);
    EXPECT_EQ(scores.examples, 10'000U);
    return scores.metric_sum / 1e4;
  };
  EXPECT_GT(accuracy("softmax", "{}", 4), 0.80);
  EXPECT_GT(accuracy("mlp", R"({"hidden": [64]})", 4), 0.83);
}

}  // namespace
}  // namespace sluice::worker
