/// Each model against plain double-precision loops: one gradient, and fifty steps of gradient descent.

#include "worker/models/reference.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "worker/local_trainer.h"
#include "worker/models/cases.h"

namespace sluice::worker::fixtures {
namespace {

/// Table 2l holds layer l's weights, table 2l + 1 its biases: the layout of all built-in models but fm (factorization_test.cc).
struct Reference {
  ReferenceNet net;
  double l2 = 0;
  bool sparse = false;
  double gamma = 0;  // above 0: of the polynomial features

  Reference(const Case& c, const std::vector<TableDecl>& tables) : sparse(c.sparse || c.model == "svm-poly") {
    const auto params = nlohmann::json::parse(c.params);
    l2 = params.value("l2", 0.0);
    net.activation = params.value("activation", "relu") == "tanh" ? ReferenceNet::Activation::kTanh : ReferenceNet::Activation::kRelu;
    if (c.model == "svm-poly") gamma = params.at("gamma");
    if (c.model.starts_with("svm"))
      net.loss_kind = params.value("loss", "squared-hinge") == "hinge" ? ReferenceNet::Loss::kHinge : ReferenceNet::Loss::kSquaredHinge;
    if (c.classes == 0) net.loss_kind = ReferenceNet::Loss::kSquares;
    for (std::size_t t = 0; t < tables.size(); t += 2) {
      net.w.emplace_back(tables[t].rows, std::vector<double>(tables[t].cols));
      net.b.emplace_back(tables[t + 1].cols);
    }
  }

  [[nodiscard]] Matrix inputs(const Batch& batch) const { return gamma > 0 ? polynomial(written_out(batch), gamma) : written_out(batch); }

  /// Mean loss; the gradient of the objective, L2 included, goes to dw and db.
  double gradient(const Matrix& x, const std::vector<float>& labels, std::vector<Matrix>& dw, std::vector<std::vector<double>>& db) const {
    dw = net.w, db = net.b;
    for (Matrix& m : dw) {
      for (auto& row : m) std::fill(row.begin(), row.end(), 0.0);
    }
    for (auto& row : db) std::fill(row.begin(), row.end(), 0.0);
    const double loss = net.loss(x, labels, &dw, &db);
    for (std::size_t l = 0; l < dw.size(); ++l) {
      for (std::size_t in = 0; in < dw[l].size(); ++in) {
        double touched = 0;  // share of the rows that have this feature
        for (const auto& row : x) touched += !sparse || row[in] != 0 ? 1.0 / static_cast<double>(x.size()) : 0;
        for (std::size_t out = 0; out < dw[l][in].size(); ++out) dw[l][in][out] += l2 * touched * net.w[l][in][out];
      }
    }
    return loss;
  }
};

std::vector<float> labels_of(const Batch& batch) { return {batch.labels.begin(), batch.labels.end()}; }

std::vector<Case> cases_of_layers() {
  std::vector<Case> out = gradient_cases();
  std::erase_if(out, [](const Case& c) { return c.model == "fm" || c.model == "mf" || c.params.find("bits") != std::string::npos; });
  return out;
}
class ModelReference : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Every, ModelReference, ::testing::ValuesIn(cases_of_layers()));

TEST_P(ModelReference, DescendsAsAPlainSerialLoopDoes) {
  const auto data = rows_for(GetParam(), 200);
  constexpr float kRate = 0.3F;
  constexpr std::uint32_t kBatch = 20;
  auto made = (**builtin_models().find(GetParam().model))(GetParam().params, data->shape());
  ASSERT_TRUE(made) << made.error().what;
  Reference reference(GetParam(), (*made)->tables());
  LocalTrainer trainer(std::move(*made), data, {.batch = kBatch, .lr = kRate, .seed = 3, .chunk_rows = 200});
  const auto each = [&](auto&& visit) {
    for (std::size_t l = 0; l < reference.net.w.size(); ++l) {
      const std::size_t width = reference.net.b[l].size();
      for (std::size_t in = 0; in < reference.net.w[l].size(); ++in) {
        for (std::size_t out = 0; out < width; ++out) visit(reference.net.w[l][in][out], trainer.values(2 * l)[in * width + out]);
      }
      for (std::size_t out = 0; out < width; ++out) visit(reference.net.b[l][out], trainer.values(2 * l + 1)[out]);
    }
  };
  each([](double& ours, float theirs) { ours = static_cast<double>(theirs); });

  std::vector<double> losses;
  EXPECT_EQ(trainer.train(50, &losses), 50U * kBatch);
  ASSERT_EQ(losses.size(), 50U);
  BatchReader reader(data);
  std::vector<Matrix> dw;
  std::vector<std::vector<double>> db;
  for (std::uint32_t step = 0; step < 50; ++step) {
    const Batch batch = reader.read(0, 200, 3, step / 10, step % 10 * kBatch, kBatch);
    EXPECT_NEAR(losses[step], reference.gradient(reference.inputs(batch), labels_of(batch), dw, db), 2e-4) << "step " << step;
    for (std::size_t l = 0; l < dw.size(); ++l) {
      for (std::size_t in = 0; in < dw[l].size(); ++in) {
        for (std::size_t out = 0; out < dw[l][in].size(); ++out) reference.net.w[l][in][out] -= static_cast<double>(kRate) * dw[l][in][out];
      }
      for (std::size_t out = 0; out < db[l].size(); ++out) reference.net.b[l][out] -= static_cast<double>(kRate) * db[l][out];
    }
  }
  each([](double ours, float theirs) { EXPECT_NEAR(ours, static_cast<double>(theirs), 5e-4); });
  EXPECT_LT(losses.back(), losses.front());
}

/// One gradient with the regularisation, at parameters that are not near zero.
TEST_P(ModelReference, GradientIsThatOfTheReference) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 32);
  const auto ours = trial.run(batch);
  Reference reference(GetParam(), trial.tables);
  for (std::size_t t = 0; t < trial.tables.size(); ++t) {
    const std::size_t width = trial.tables[t].cols;
    for (std::size_t i = 0; i < trial.dense[t].size(); ++i)
      (t % 2 == 0 ? reference.net.w[t / 2][i / width][i % width] : reference.net.b[t / 2][i]) = static_cast<double>(trial.dense[t][i]);
  }
  for (const auto& [where, row] : trial.sparse_rows) {
    for (std::size_t i = 0; i < row.size(); ++i) reference.net.w[where.first / 2][where.second][i] = static_cast<double>(row[i]);
  }
  std::vector<Matrix> dw;
  std::vector<std::vector<double>> db;
  EXPECT_NEAR(ours.losses.loss_sum / batch.rows, reference.gradient(reference.inputs(batch), labels_of(batch), dw, db), 1e-5);
  for (std::size_t t = 0; t < trial.tables.size(); ++t) {
    const std::size_t width = trial.tables[t].cols;
    for (std::size_t g = 0; g < ours.gradients[t].size(); ++g) {
      const std::size_t row = ours.keys[t].empty() ? g / width : ours.keys[t][g / width];
      EXPECT_NEAR(static_cast<double>(ours.gradients[t][g]), t % 2 == 0 ? dw[t / 2][row][g % width] : db[t / 2][g], 1e-5) << trial.tables[t].name << " " << g;
    }
  }
}

}  // namespace
}  // namespace sluice::worker::fixtures
