#include "worker/models/lda.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "worker/data/stored.h"
#include "worker/models/phases.h"

namespace sluice::worker::models {
namespace {

using fixtures::PhaseTrainer;

std::unique_ptr<Model> lda(const std::string& params, const DataShape& shape) {
  auto made = make_lda(params, shape);
  if (!made) ADD_FAILURE() << made.error().what;
  return std::move(*made);
}

struct Documents {
  std::vector<float> labels, values;
  std::vector<std::uint64_t> offsets = {0};
  std::vector<std::uint32_t> indices;
};
/// Counts of each word, a document a row.
std::shared_ptr<const Dataset> documents(const std::vector<std::vector<float>>& rows) {
  auto owned = std::make_shared<Documents>();
  for (const auto& row : rows) {
    for (std::uint32_t w = 0; w < row.size(); ++w) {
      if (row[w] != 0) owned->indices.push_back(w), owned->values.push_back(row[w]);
    }
    owned->labels.push_back(0);
    owned->offsets.push_back(owned->indices.size());
  }
  data::StoredRows stored;
  stored.labels = owned->labels, stored.offsets = owned->offsets, stored.indices = owned->indices, stored.values = owned->values;
  return std::make_shared<data::StoredDataset>(DataShape{rows.size(), rows[0].size(), 2, true}, stored, 1, owned);
}

/// Documents of 40 words, each mostly of one of three topics; topic t has words 10 t … 10 t + 9.
std::vector<std::vector<float>> planted(std::size_t rows, std::uint64_t seed) {
  SeededRng rng(seed);
  std::vector<std::vector<float>> out(rows, std::vector<float>(30));
  for (std::size_t i = 0; i < rows; ++i) {
    for (int n = 0; n < 40; ++n) {
      const std::uint64_t topic = rng.below(10) < 8 ? i % 3 : rng.below(3);
      out[i][topic * 10 + rng.below(10)] += 1;
    }
  }
  return out;
}

TEST(Lda, DigammaIsThatOfTheTables) {
  EXPECT_NEAR(digamma(1), -0.57721566490153286, 1e-10);
  EXPECT_NEAR(digamma(0.5), -1.9635100260214235, 1e-10);
  EXPECT_NEAR(digamma(10), 2.2517525890667211, 1e-10);
  EXPECT_NEAR(digamma(0.001), -1000.5755719318103, 1e-9);
}

TEST(Lda, PlantedTopicsAreFoundAgain) {
  const auto rows = planted(300, 3);
  const auto data = documents(rows);
  PhaseTrainer trainer(lda(R"({"topics": 3})", data->shape()), data, 40, 64);
  const auto losses = trainer.train();
  EXPECT_EQ(losses.size(), 40U);
  for (std::size_t p = 3; p < losses.size(); ++p) EXPECT_LE(losses[p], losses[p - 1] + 2e-3) << p;
  EXPECT_LT(losses.back(), losses.front() - 0.3);
  // Each planted topic's words have most of the counts of one topic of ours, another one for each.
  std::vector<std::size_t> found;
  const auto& counts = trainer.values[1];
  for (std::size_t t = 0; t < 3; ++t) {
    double all = 0, best = 0;
    std::size_t planted_topic = 0;
    for (std::size_t w = 0; w < 30; ++w) all += static_cast<double>(counts[w * 3 + t]);
    for (std::size_t p = 0; p < 3; ++p) {
      double part = 0;
      for (std::size_t w = 10 * p; w < 10 * p + 10; ++w) part += static_cast<double>(counts[w * 3 + t]);
      if (part > best) best = part, planted_topic = p;
    }
    EXPECT_GT(best / all, 0.9);
    found.push_back(planted_topic);
  }
  std::sort(found.begin(), found.end());
  EXPECT_EQ(found, (std::vector<std::size_t>{0, 1, 2}));
  // The documents' own topics, held out: .8 + .2 / 3 of one.
  const auto test = documents(planted(30, 9));
  BatchReader reader(test);
  const auto outputs = trainer.model->outputs(trainer.state(), reader.read_plain(0, 30));
  ASSERT_EQ(outputs.size(), 90U);
  for (std::size_t i = 0; i < 30; ++i) {
    const auto row = outputs.subspan(i * 3, 3);
    EXPECT_NEAR(row[0] + row[1] + row[2], 1, 1e-5);
    EXPECT_GT(*std::max_element(row.begin(), row.end()), 0.6F);
  }
  // Words of one topic alone have perplexity 10, all of them 30; what the generator has: .867 of the words of one topic, .067 of each other.
  const Scores scores = trainer.evaluate(test);
  const double entropy = -(13.0 / 15 * std::log(13.0 / 150) + 2.0 / 15 * std::log(1.0 / 150));
  EXPECT_NEAR(scores.metric_sum / 30, entropy, 0.12);
  EXPECT_LT(scores.metric_sum / 30, std::log(30.0) - 0.3);
}

/// From equal topics, where nothing but a document's own start tells them apart.
TEST(Lda, TopicsThatAreTheSameComeApart) {
  const auto data = documents(planted(300, 3));
  PhaseTrainer trainer(lda(R"({"topics": 3})", data->shape()), data, 60, 64);
  std::fill(trainer.values[1].begin(), trainer.values[1].end(), 0.0F);
  const auto losses = trainer.train();
  EXPECT_LT(losses.back(), losses.front() - 0.3);
}

/// A document's bound and counts against the same fixed point found with plain loops in double precision.
TEST(Lda, OneDocumentIsInferredAsByPlainLoops) {
  const auto data = documents({{3, 0, 1, 2}, {0, 0, 0, 0}, {1, 1, 0, 0}});
  PhaseTrainer trainer(lda(R"({"topics": 2, "alpha": 0.3, "eta": 0.1, "iterations": 1000, "tolerance": 0})", data->shape()), data, 5, 2);
  trainer.pass();
  const auto& c = trainer.values[1];
  double total[2] = {0.4, 0.4}, beta[4][2];
  for (int w = 0; w < 4; ++w) {
    for (int t = 0; t < 2; ++t) total[t] += static_cast<double>(c[static_cast<std::size_t>(w * 2 + t)]);
  }
  for (int w = 0; w < 4; ++w) {
    for (int t = 0; t < 2; ++t) beta[w][t] = std::exp(digamma(0.1 + static_cast<double>(c[static_cast<std::size_t>(w * 2 + t)])) - digamma(total[t]));
  }
  const double n[4] = {3, 0, 1, 2};
  double gamma[2] = {3.3, 3.3}, phi[4][2] = {};
  for (int round = 0; round < 1000; ++round) {
    double next[2] = {0.3, 0.3};
    for (int w = 0; w < 4; ++w) {
      const double a = std::exp(digamma(gamma[0])) * beta[w][0], b = std::exp(digamma(gamma[1])) * beta[w][1];
      phi[w][0] = a / (a + b), phi[w][1] = b / (a + b);
      for (int t = 0; t < 2; ++t) next[t] += n[w] * phi[w][t];
    }
    gamma[0] = next[0], gamma[1] = next[1];
  }
  double bound = std::lgamma(0.6) - std::lgamma(6.6);
  for (int t = 0; t < 2; ++t) {
    const double theta = digamma(gamma[t]) - digamma(6.6);
    bound += (0.3 - gamma[t]) * theta + std::lgamma(gamma[t]) - std::lgamma(0.3);
    for (int w = 0; w < 4; ++w) bound += n[w] > 0 ? n[w] * phi[w][t] * (theta + std::log(beta[w][t]) - std::log(phi[w][t])) : 0;
  }
  BatchReader reader(data);
  std::vector<std::vector<float>> pushed;
  const Losses losses = trainer.statistics(reader.read_plain(0, 1), pushed);
  EXPECT_NEAR(losses.loss_sum, -bound / 6, 1e-5);
  EXPECT_NEAR(losses.loss_squares, bound * bound / 36, 1e-4);
  for (int w = 0; w < 4; ++w) {
    for (int t = 0; t < 2; ++t) EXPECT_NEAR(pushed[2][static_cast<std::size_t>(w * 2 + t)], n[w] * phi[w][t], 1e-4);
  }
  EXPECT_EQ(trainer.statistics(reader.read_plain(1, 1), pushed).loss_sum, 0);  // a document without words
  for (const float count : pushed[2]) EXPECT_EQ(count, 0);
}

TEST(Lda, SumsOfPartsAreTheSumsOfTheWhole) {
  const auto data = documents(planted(200, 5));
  PhaseTrainer whole(lda(R"({"topics": 4})", data->shape()), data, 3, 200), parts(lda(R"({"topics": 4})", data->shape()), data, 3, 7);
  for (int p = 0; p < 3; ++p) {
    parts.values = whole.values;
    EXPECT_NEAR(whole.sum_up(), parts.sum_up(), 1e-6);
    double words = 0;
    for (std::size_t i = 0; i < whole.values[2].size(); ++i) {
      EXPECT_NEAR(whole.values[2][i], parts.values[2][i], 1e-3);
      words += static_cast<double>(whole.values[2][i]);
    }
    EXPECT_NEAR(words, 200 * 40, 0.1);
    whole.finish(), parts.finish();
    for (const float left : whole.values[2]) EXPECT_EQ(left, 0);
  }
}

TEST(Lda, TheSeedSaysWhereItBegins) {
  const auto data = documents(planted(60, 5));
  const auto topics = [&](std::uint64_t seed) {
    PhaseTrainer trainer(lda(R"({"topics": 4})", data->shape()), data, 2, 16, seed);
    (void)trainer.train();
    return trainer.values[1];
  };
  EXPECT_EQ(topics(1), topics(1));
  EXPECT_NE(topics(1), topics(2));
}

TEST(Lda, WhatDoesNotFitIsSaid) {
  const auto words = [](const std::string& params, const DataShape& shape) {
    const auto made = make_lda(params, shape);
    return made ? std::string() : made.error().what;
  };
  EXPECT_EQ(words("{}", {10, 100, 2, true}), "");
  EXPECT_NE(words("{}", {10, 100, 2, false}).find("needs sparse rows"), std::string::npos);
  EXPECT_NE(words(R"({"topics": 1000})", {10, 100000, 2, true}).find("100000 words × 1000 topics"), std::string::npos);
  EXPECT_NE(words(R"({"topic": 10})", {10, 100, 2, true}).find("did you mean 'topics'"), std::string::npos);
  const auto data = documents({{1, 2}, {1, -1}});
  PhaseTrainer trainer(lda(R"({"topics": 2})", data->shape()), data, 1);
  try {
    (void)trainer.sum_up();
    ADD_FAILURE() << "a negative count was taken";
  } catch (const std::runtime_error& error) { EXPECT_NE(std::string(error.what()).find("word 1 occurs -1 times"), std::string::npos); }
}

}  // namespace
}  // namespace sluice::worker::models
