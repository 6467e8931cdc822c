/// The factorization machine against its definition: a sum over pairs of features, in double precision.

#include "worker/models/factorization.h"

#include <algorithm>
#include <cmath>

#include "worker/models/cases.h"
#include "worker/models/reference.h"

namespace sluice::worker::fixtures {
namespace {

constexpr std::uint32_t kRank = 3;

/// z of one output, its parameters taken from the trial's: b + Σ w_i x_i + Σ_{i<j} ⟨v_i, v_j⟩ x_i x_j.
double output(const Trial& trial, const std::vector<double>& x, std::uint32_t o) {
  const auto of = [&](std::size_t table, std::size_t feature, std::size_t i) { return static_cast<double>(trial.sparse_rows.at({table, feature})[i]); };
  double z = static_cast<double>(trial.dense[2][o]);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] == 0) continue;
    z += of(0, i, o) * x[i];
    for (std::size_t j = i + 1; j < x.size(); ++j) {
      if (x[j] == 0) continue;
      for (std::uint32_t f = 0; f < kRank; ++f) z += of(1, i, o * kRank + f) * of(1, j, o * kRank + f) * x[i] * x[j];
    }
  }
  return z;
}

double cross_entropy(const std::vector<double>& z, std::size_t label) {
  if (z.size() == 1) return std::log1p(std::exp(label == 1 ? -z[0] : z[0]));
  double sum = 0;
  for (const double v : z) sum += std::exp(v);
  return std::log(sum) - z[label];
}

/// The losses; contract_test.cc holds the gradient to the losses' slope.
TEST(FactorizationMachine, LossIsThatOfTheSumOverPairs) {
  for (const bool sparse : {false, true}) {
    for (const std::uint32_t classes : {2U, 3U}) {
      const Case c{"fm", R"({"rank": 3})", sparse, classes};
      const auto data = rows_for(c);
      Trial trial(c, data->shape());
      BatchReader reader(data);
      const Batch batch = reader.read_plain(0, 40);
      const double ours = trial.run(batch).losses.loss_sum;
      const Matrix rows = written_out(batch);
      double loss = 0;
      for (std::size_t i = 0; i < rows.size(); ++i) {
        std::vector<double> z;
        for (std::uint32_t o = 0; o < (classes == 2 ? 1 : classes); ++o) z.push_back(output(trial, rows[i], o));
        loss += cross_entropy(z, static_cast<std::size_t>(batch.labels[i]));
      }
      EXPECT_NEAR(ours, loss, 1e-4 * loss) << c.name();
    }
  }
}

/// l2 adds l2 · w for each example that has the feature, as in models/linear.h.
TEST(FactorizationMachine, L2PullsWhatTheExamplesHave) {
  const Case plain{"fm", R"({"rank": 3})", true, 2}, decayed{"fm", R"({"rank": 3, "l2": 0.5})", true, 2};
  const auto data = rows_for(plain);
  Trial a(plain, data->shape()), b(decayed, data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 40);
  const auto without = a.run(batch), with = b.run(batch);
  ASSERT_EQ(without.keys, with.keys);
  for (const std::size_t t : {0U, 1U}) {
    const std::size_t width = a.tables[t].cols;
    for (std::size_t g = 0; g < with.gradients[t].size(); ++g) {
      const Key key = with.keys[t][g / width];
      const auto having = static_cast<double>(std::count(batch.indices.begin(), batch.indices.end(), key));
      const double expected = 0.5 * having / batch.rows * static_cast<double>(b.value(t, key, g % width));
      EXPECT_NEAR(static_cast<double>(with.gradients[t][g] - without.gradients[t][g]), expected, 1e-5) << t << " " << g;
    }
  }
  EXPECT_EQ(without.gradients[2], with.gradients[2]);
}

}  // namespace
}  // namespace sluice::worker::fixtures
