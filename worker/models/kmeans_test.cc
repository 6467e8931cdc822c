/// k-means against plain loops in double precision, and on data whose clusters are known.

#include <algorithm>
#include <cmath>
#include <set>

#include "worker/models/cases.h"
#include "worker/models/kmeans_start.h"
#include "worker/models/reference.h"

namespace sluice::worker::fixtures {
namespace {

enum Table : std::size_t { kCentroids, kProgress, kSeed, kSums, kCounts, kSample, kSampled };

/// Rows around `clusters` far centres in the plane, as libsvm writes them; the label is the centre.
std::shared_ptr<const Dataset> blobs(const Folder& folder, std::uint32_t rows, std::uint32_t clusters, double spread, std::uint64_t seed = 3) {
  SeededRng rng(seed);
  std::string text;
  for (std::uint32_t i = 0; i < rows; ++i) {
    const std::uint32_t c = i % clusters;
    const auto noise = [&] { return spread * (rng.uniform() + rng.uniform() - 1); };
    text += std::to_string(c) + " 1:" + std::to_string(20.0 * (c % 4) + noise()) + " 2:" + std::to_string(20.0 * (c / 4) + noise()) + "\n";
  }
  proto::DataSpec spec;
  spec.name = "blobs", spec.format = "libsvm", spec.train = {folder.write("blobs.svm", text)};
  const auto opened = open_data(spec, {.cache_dir = folder.path()});
  EXPECT_TRUE(opened) << opened.error().what;
  return opened->train;
}

LocalTrainer trainer_for(const std::string& params, const std::shared_ptr<const Dataset>& data, std::uint32_t epochs, std::uint64_t seed = 1) {
  return {made({"kmeans", params, data->shape().sparse, data->shape().classes}, data->shape()), data, {.batch = 64, .seed = seed, .epochs = epochs}};
}

/// One pass of Lloyd's algorithm; the inertia at the centroids as they were. [cluster][feature]
double lloyd(const Matrix& rows, Matrix& centroids) {
  Matrix sums(centroids.size(), std::vector<double>(centroids[0].size()));
  std::vector<double> counts(centroids.size());
  double inertia = 0;
  for (const auto& x : rows) {
    std::vector<double> far;
    for (const auto& c : centroids) {
      double d = 0;
      for (std::size_t f = 0; f < x.size(); ++f) d += (x[f] - c[f]) * (x[f] - c[f]);
      far.push_back(d);
    }
    const auto best = static_cast<std::size_t>(std::min_element(far.begin(), far.end()) - far.begin());
    inertia += far[best], counts[best] += 1;
    for (std::size_t f = 0; f < x.size(); ++f) sums[best][f] += x[f];
  }
  for (std::size_t c = 0; c < sums.size(); ++c) {
    for (std::size_t f = 0; counts[c] > 0 && f < sums[c].size(); ++f) centroids[c][f] = sums[c][f] / counts[c];
  }
  return inertia;
}

Matrix centroids_of(LocalTrainer& trainer, std::size_t k, std::size_t features) {
  Matrix out(k, std::vector<double>(features));
  for (std::size_t c = 0; c < k; ++c) {
    for (std::size_t f = 0; f < features; ++f) out[c][f] = static_cast<double>(trainer.values(kCentroids)[f * k + c]);
  }
  return out;
}

TEST(KMeans, MovesAsLloydsAlgorithmDoesFromRowsOfTheData) {
  for (const bool sparse : {false, true}) {
    const Case c{"kmeans", R"({"k": 4, "init": "random", "tol": 0})", sparse, 2};
    const auto data = rows_for(c, 300);
    const std::size_t features = data->shape().features;
    auto trainer = trainer_for(c.params, data, 6);
    BatchReader reader(data);
    const Matrix rows = written_out(reader.read_plain(0, 300));
    trainer.train(trainer.epoch_batches());
    ASSERT_EQ(trainer.phases(), 1U);
    Matrix centroids = centroids_of(trainer, 4, features);
    for (const auto& centroid : centroids) {
      EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [&](const auto& row) {
        for (std::size_t f = 0; f < features; ++f) {
          if (std::abs(row[f] - centroid[f]) > 1e-6) return false;
        }
        return true;
      })) << "a first centroid is no row";
    }
    while (!trainer.ended().done) {
      std::vector<double> losses;
      const auto examples = trainer.train(trainer.epoch_batches(), &losses);
      EXPECT_EQ(examples, 300U);
      const double inertia = lloyd(rows, centroids);
      double ours = 0;
      for (std::size_t b = 0; b < losses.size(); ++b) ours += losses[b] * static_cast<double>(b + 1 < losses.size() ? 64 : 300 - 64 * (losses.size() - 1));
      EXPECT_NEAR(ours, inertia, 1e-5 * inertia);
      const Matrix now = centroids_of(trainer, 4, features);
      for (std::size_t k = 0; k < 4; ++k) {
        for (std::size_t f = 0; f < features; ++f) EXPECT_NEAR(now[k][f], centroids[k][f], 1e-5) << k << " " << f;
      }
    }
    for (const float v : trainer.values(kSums)) EXPECT_EQ(v, 0) << "statistics begin each pass at 0";
  }
}

TEST(KMeans, FindsClustersThatAreThereWhateverTheSeed) {
  const Folder folder;
  const auto data = blobs(folder, 1200, 12, 2.0);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    auto trainer = trainer_for(R"({"k": 12})", data, 30, seed);
    trainer.train(1'000'000);
    EXPECT_LT(trainer.phases(), 10U);
    EXPECT_NE(trainer.ended().reason.find("no centroid moved by more than 0.001"), std::string::npos) << trainer.ended().reason;
    const Scores scores = trainer.evaluate(data);
    EXPECT_NEAR(scores.loss_sum / 1200, 2 * 2.0 * 2.0 / 6, 0.1) << "the variance within the clusters; seed " << seed;
    EXPECT_EQ(scores.metric_sum, scores.loss_sum);
  }
}

TEST(KMeans, OutputsAreMinusTheDistancesAndSayTheCluster) {
  const Folder folder;
  const auto data = blobs(folder, 240, 4, 1.0);
  auto trainer = trainer_for(R"({"k": 4})", data, 10);
  trainer.train(1'000'000);
  const auto model = made({"kmeans", R"({"k": 4})", data->shape().sparse, 4}, data->shape());
  std::vector<TableView> views;
  for (std::size_t t = 0; t < 7; ++t) views.push_back({t < kSums ? std::span<const float>(trainer.values(t)) : std::span<const float>(), {}});
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 240);
  const auto outputs = model->outputs(views, batch);
  ASSERT_EQ(outputs.size(), 4U * 240);
  double sum = 0;
  std::vector<std::set<float>> labels(4);
  for (std::size_t i = 0; i < 240; ++i) {
    const auto row = outputs.subspan(i * 4, 4);
    const auto best = std::max_element(row.begin(), row.end());
    sum -= static_cast<double>(*best);
    labels[static_cast<std::size_t>(best - row.begin())].insert(batch.labels[i]);
  }
  EXPECT_NEAR(sum, trainer.evaluate(data).loss_sum, 1e-2);
  for (const auto& of_cluster : labels) EXPECT_EQ(of_cluster.size(), 1U) << "each cluster is one centre's rows";
}

TEST(KMeans, RowsThatAreOftenThereAreDrawnAndFewDistinctRowsAreEnough) {
  const Folder folder;
  std::string text;
  for (int i = 0; i < 900; ++i) text += i % 3 == 0 ? "1 1:5\n" : i % 3 == 1 ? "1 1:1 2:7\n" : "0 2:3\n";
  proto::DataSpec spec;
  spec.name = "few", spec.format = "libsvm", spec.train = {folder.write("few.svm", text)};
  const auto data = open_data(spec, {.cache_dir = folder.path()})->train;
  auto trainer = trainer_for(R"({"k": 3})", data, 5);
  trainer.train(1'000'000);
  EXPECT_NEAR(trainer.evaluate(data).loss_sum, 0, 1e-6);
  auto more = trainer_for(R"({"k": 7})", data, 5);
  more.train(1'000'000);
  EXPECT_TRUE(more.ended().done);
  EXPECT_NEAR(more.evaluate(data).loss_sum, 0, 1e-6) << "more centroids than distinct rows: some stand twice";
}

/// All but one centroid begin far from everything: their clusters are empty.
TEST(KMeans, EmptyClustersAreGivenRowsAndTheInertiaFalls) {
  const Folder folder;
  const auto data = blobs(folder, 1200, 12, 2.0);
  auto trainer = trainer_for(R"({"k": 12})", data, 60);
  trainer.train(trainer.epoch_batches());
  for (std::size_t c = 1; c < 12; ++c) trainer.values(kCentroids)[c] = trainer.values(kCentroids)[12 + c] = 1e4F + 100.0F * static_cast<float>(c);
  std::vector<double> losses;
  trainer.train(trainer.epoch_batches(), &losses);
  EXPECT_FALSE(trainer.ended().done) << "clusters were filled";
  trainer.train(1'000'000);
  EXPECT_TRUE(trainer.ended().done);
  for (std::size_t c = 0; c < 12; ++c) EXPECT_LT(std::abs(trainer.values(kCentroids)[c]), 100) << "still far away";
  EXPECT_LT(trainer.evaluate(data).loss_sum / 1200, 0.1 * losses[0]);
}

TEST(KMeansStart, DependsOnItsArgumentsOnlyAndTakesHeavyRowsMoreOften) {
  models::WeightedRows rows{.features = 1, .values = {0, 1, 2, 3}, .weights = {1, 1, 1, 1000}};
  EXPECT_EQ(models::first_centroids(rows, 2, true, 5), models::first_centroids(rows, 2, true, 5));
  const auto two = models::first_centroids(rows, 2, true, 5);
  EXPECT_NEAR(std::max(two[0], two[1]), 3, 0.01) << "the heavy row has a centroid to itself, nearly";
  EXPECT_EQ(models::first_centroids(rows, 4, false, 1).size(), 4U);
  auto random = models::first_centroids(rows, 4, false, 9);
  std::sort(random.begin(), random.end());
  EXPECT_EQ(random, (std::vector<float>{0, 1, 2, 3})) << "each row once";
  EXPECT_EQ(models::first_centroids(rows, 6, true, 9).size(), 6U) << "more than there are rows";
}

TEST(KMeans, ParametersAreChecked) {
  const auto error = [](const std::string& params, const DataShape& shape) {
    const auto model = (**builtin_models().find("kmeans"))(params, shape);
    return model ? std::string() : model.error().what;
  };
  const DataShape shape{100, 20, 3, false};
  EXPECT_EQ(error(R"({"k": 5, "tol": 0, "init": "random"})", shape), "");
  EXPECT_EQ(error("{}", {100, 20, 0, true}), "") << "targets are as good as classes: nobody looks at them";
  EXPECT_NE(error(R"({"k": 0})", shape).find("'k'"), std::string::npos);
  EXPECT_NE(error(R"({"kk": 3})", shape).find("did you mean 'k'"), std::string::npos);
  EXPECT_NE(error(R"({"init": "first"})", shape).find("one of k-means++, random"), std::string::npos);
  EXPECT_NE(error(R"({"tol": -1})", shape).find("'tol'"), std::string::npos);
  EXPECT_NE(error(R"({"k": 1000})", {100, 1'000'000, 2, true}).find("more than the"), std::string::npos);
  EXPECT_NE(error("{}", {100, 0, 2, false}).find("at least one feature"), std::string::npos);

  proto::JobSpec job;
  job.model = "kmeans";
  const auto model = made({"kmeans", "{}", false, 3}, shape);
  EXPECT_EQ(update_problem(*model, job), "");
  job.optimizer = {"add", {}};
  EXPECT_EQ(update_problem(*model, job), "");
  job.optimizer = {"sgd", {{"lr", 0.1}}};
  EXPECT_NE(update_problem(*model, job).find("take 'optimizer' out"), std::string::npos);
  job.optimizer = {}, job.consistency.local_steps = 3;
  EXPECT_NE(update_problem(*model, job).find("local steps"), std::string::npos);
  EXPECT_EQ(update_kind_of(builtin_models(), "kmeans", "{}"), UpdateKind::kStatistics);
  EXPECT_EQ(update_kind_of(builtin_models(), "softmax", "{}"), UpdateKind::kGradient);
}

}  // namespace
}  // namespace sluice::worker::fixtures
