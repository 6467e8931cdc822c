/// Matrix factorization against its definition, in double precision, and what it does not take.

#include "worker/models/matrix_factorization.h"

#include <cmath>
#include <set>

#include "worker/models/cases.h"
#include "worker/models/reference.h"

namespace sluice::worker::fixtures {
namespace {

constexpr std::uint32_t kPairRank = 3;
const Case kFactors{"mf", R"({"rank": 3})", true, 0};

/// The prediction for a row whose entries are `of`, its parameters taken from the trial's.
double rating(const Trial& trial, const std::vector<Key>& of) {
  const auto at = [&](std::size_t table, Key key, std::size_t i) { return static_cast<double>(trial.sparse_rows.at({table, key})[i]); };
  double sum = static_cast<double>(trial.dense[2][0]);
  for (const Key key : of) sum += at(0, key, 0);
  for (std::size_t f = 0; of.size() == 2 && f < kPairRank; ++f) sum += at(1, of[0], f) * at(1, of[1], f);
  return sum;
}

TEST(MatrixFactorization, PredictsMeanBiasesAndProductOfFactorsAlsoOfRowsThatLackOneSide) {
  const auto data = rows_for(kFactors);
  Trial trial(kFactors, data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 60);
  const auto result = trial.run(batch, true);
  std::set<std::uint64_t> sizes;
  for (std::uint32_t i = 0; i < batch.rows; ++i) {
    const std::vector<Key> of(batch.indices.begin() + static_cast<std::ptrdiff_t>(batch.offsets[i]),
                              batch.indices.begin() + static_cast<std::ptrdiff_t>(batch.offsets[i + 1]));
    sizes.insert(of.size());
    EXPECT_NEAR(static_cast<double>(result.outputs[i]), rating(trial, of), 1e-6) << "row " << i;
  }
  EXPECT_EQ(sizes, (std::set<std::uint64_t>{0, 1, 2}));
}

/// The example of Koren's equation 5: one rating, rate 1: each bias moves by the error less l2 × itself, each factor by the error × the other's less l2 ×
/// itself.
TEST(MatrixFactorization, L2AddsToTheGradientOnlyOfWhoIsInTheBatch) {
  const Case c{"mf", R"({"rank": 3, "l2": 0.25})", true, 0};
  const auto data = rows_for(c);
  Trial plain(kFactors, data->shape()), decayed(c, data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 1);
  const auto without = plain.run(batch), with = decayed.run(batch);
  ASSERT_EQ(with.keys[0].size(), 2U);
  EXPECT_EQ(with.losses.loss_sum, without.losses.loss_sum);
  for (const std::size_t t : {0U, 1U}) {
    const std::size_t width = t == 0 ? 1 : kPairRank;
    for (std::size_t i = 0; i < with.gradients[t].size(); ++i) {
      EXPECT_NEAR(with.gradients[t][i] - without.gradients[t][i], 0.25F * decayed.value(t, with.keys[t][i / width], i % width), 1e-6F);
    }
  }
  EXPECT_EQ(with.gradients[2], without.gradients[2]);
}

TEST(MatrixFactorization, RowsThatAreNoPairAreSaid) {
  const auto data = rows_for(kFactors);
  const auto words = [&](std::vector<std::uint32_t> indices, std::vector<float> values) {
    Trial trial(kFactors, data->shape());
    const std::vector<std::uint64_t> offsets{0, indices.size()};
    const std::vector<float> labels{3};
    Batch batch;
    batch.rows = 1;
    batch.features = data->shape().features;
    batch.offsets = offsets;
    batch.indices = indices;
    batch.values = values;
    batch.labels = labels;
    try {
      (void)trial.run(batch);
    } catch (const std::exception& error) { return std::string(error.what()); }
    return std::string();
  };
  EXPECT_EQ(words({1, 12}, {1, 1}), "");
  EXPECT_EQ(words({1, 2, 12}, {1, 1, 1}), "a row has 3 entries; model 'mf' takes two, a user and an item");
  EXPECT_EQ(words({1, 12}, {1, 2}), "a row has the value 2 for feature 12; model 'mf' takes 1");
}

}  // namespace
}  // namespace sluice::worker::fixtures
