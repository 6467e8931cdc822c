/// What every registered model must keep (worker/model.h), whatever it computes.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "worker/models/cases.h"

namespace sluice::worker::fixtures {
namespace {

class ModelContract : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Every, ModelContract, ::testing::ValuesIn(all_cases()));

TEST_P(ModelContract, DeclaresTablesWithDistinctNamesAndRealSizes) {
  const auto data = rows_for(GetParam());
  const Trial trial(GetParam(), data->shape());
  std::set<std::string> names;
  ASSERT_FALSE(trial.tables.empty());
  for (const TableDecl& table : trial.tables) {
    EXPECT_TRUE(names.insert(table.name).second) << table.name;
    EXPECT_GT(table.rows, 0U) << table.name;
    EXPECT_GT(table.cols, 0U) << table.name;
    EXPECT_GE(table.init.scale, 0) << table.name;
  }
}

TEST_P(ModelContract, KeysAreSortedDistinctAndOnlyOfSparseTables) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const auto result = trial.run(reader.read_plain(0, 32));
  for (std::size_t t = 0; t < trial.tables.size(); ++t) {
    const auto& keys = result.keys[t];
    EXPECT_TRUE(keys.empty() || trial.tables[t].kind == proto::TableKind::kSparse);
    EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end(), std::greater_equal<>()), keys.end());
    for (const Key key : keys) EXPECT_LT(key, trial.tables[t].rows);
  }
}

TEST_P(ModelContract, WritesEveryFloatOfTheUpdate) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const auto result = trial.run(reader.read_plain(0, 32));
  for (const auto& gradient : result.gradients) EXPECT_TRUE(std::all_of(gradient.begin(), gradient.end(), [](float g) { return std::isfinite(g); }));
}

TEST_P(ModelContract, RowsOfOtherKeysGetZerosAndChangeNothingWhereMoreAreTaken) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  if (!trial.model->takes_more_rows()) GTEST_SKIP() << "it is given the keys of its batches only";
  BatchReader all_reader(data), reader(data);
  const auto all = trial.keys_of(all_reader.read_plain(0, 64));
  const Batch batch = reader.read_plain(5, 11);
  const auto own = trial.run(batch);
  for (const std::uint64_t number : {0U, 9U, 9U}) {
    const auto more = trial.run_on(all, batch, false, number);
    EXPECT_EQ(more.losses.loss_sum, own.losses.loss_sum);
    for (std::size_t t = 0; t < all.size(); ++t) {
      std::map<Key, std::vector<float>> wanted;
      const std::size_t width = trial.tables[t].cols;
      for (std::size_t i = 0; i < own.keys[t].size(); ++i)
        wanted[own.keys[t][i]].assign(own.gradients[t].begin() + static_cast<std::ptrdiff_t>(i * width),
                                      own.gradients[t].begin() + static_cast<std::ptrdiff_t>((i + 1) * width));
      if (own.keys[t].empty()) { EXPECT_EQ(more.gradients[t], own.gradients[t]); }
      for (std::size_t i = 0; i < all[t].size(); ++i) {
        const auto row = std::span(more.gradients[t]).subspan(i * width, width);
        const auto found = wanted.try_emplace(all[t][i], width, 0.0F).first;
        ASSERT_TRUE(std::equal(row.begin(), row.end(), found->second.begin())) << trial.tables[t].name << " key " << all[t][i];
      }
    }
  }
}

/// Without L2: the losses reported don't hold its term (reference_test.cc checks what it adds).
std::vector<Case> cases_without_l2() {
  std::vector<Case> out = gradient_cases();
  std::erase_if(out, [](const Case& c) { return c.params.find("l2") != std::string::npos; });
  return out;
}
class ModelSlope : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Every, ModelSlope, ::testing::ValuesIn(cases_without_l2()));

/// The gradient is that of the mean loss reported: against central differences, every parameter.
TEST_P(ModelSlope, GradientMatchesFiniteDifferencesOfTheLossReported) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 32);
  const auto at = trial.run(batch);
  constexpr float kStep = 2e-3F;
  std::size_t checked = 0;
  for (std::size_t t = 0; t < trial.tables.size(); ++t) {
    const std::size_t width = trial.tables[t].kind == proto::TableKind::kDense ? at.gradients[t].size() : trial.tables[t].cols;
    for (std::size_t g = 0; g < at.gradients[t].size(); ++g) {
      const Key key = at.keys[t].empty() ? 0 : at.keys[t][g / width];
      float& value = trial.value(t, key, g % width);
      const float kept = value;
      value = kept + kStep;
      const double above = trial.run(batch).losses.loss_sum;
      value = kept - kStep;
      const double below = trial.run(batch).losses.loss_sum;
      value = kept;
      const double slope = (above - below) / (2.0 * static_cast<double>(kStep)) / batch.rows;
      EXPECT_NEAR(static_cast<double>(at.gradients[t][g]), slope, 1e-3) << trial.tables[t].name << " element " << g;
      ++checked;
    }
  }
  EXPECT_GT(checked, 10U);
}

/// Whether a batch is computed whole, in two parts or row by row, the gradients, weighted by rows, sum to the same, and so do the losses. Deltas and statistics
/// need no weights.
TEST_P(ModelContract, GradientSumIsTheSameHoweverTheBatchIsSplit) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  constexpr std::uint32_t kRows = 24;
  const bool mean = trial.model->update_kind() == UpdateKind::kGradient;
  const auto whole = trial.run(reader.read_plain(0, kRows));
  for (const std::uint32_t part : {12U, 5U, 1U}) {
    std::map<std::pair<std::size_t, std::size_t>, double> sums;  // (table, element): dense position, or key × width + column
    Losses losses;
    for (std::uint32_t first = 0; first < kRows; first += part) {
      const std::uint32_t rows = std::min(part, kRows - first);
      const auto result = trial.run(reader.read_plain(first, rows));
      losses.loss_sum += result.losses.loss_sum;
      losses.loss_squares += result.losses.loss_squares;
      for (std::size_t t = 0; t < trial.tables.size(); ++t) {
        const std::size_t width = trial.tables[t].cols;
        for (std::size_t g = 0; g < result.gradients[t].size(); ++g) {
          const std::size_t element = result.keys[t].empty() ? g : result.keys[t][g / width] * width + g % width;
          sums[{t, element}] += static_cast<double>(result.gradients[t][g]) * (mean ? 1.0 * rows / kRows : 1);
        }
      }
    }
    EXPECT_NEAR(losses.loss_sum, whole.losses.loss_sum, mean ? 1e-4 : 1e-6 * whole.losses.loss_sum);
    EXPECT_NEAR(losses.loss_squares, whole.losses.loss_squares, mean ? 1e-4 : 1e-6 * whole.losses.loss_squares);
    std::size_t elements = 0;
    for (std::size_t t = 0; t < trial.tables.size(); ++t) {
      const std::size_t width = trial.tables[t].cols;
      elements += whole.gradients[t].size();
      for (std::size_t g = 0; g < whole.gradients[t].size(); ++g) {
        const std::size_t element = whole.keys[t].empty() ? g : whole.keys[t][g / width] * width + g % width;
        EXPECT_NEAR((sums[{t, element}]), static_cast<double>(whole.gradients[t][g]),
                    mean ? 1e-5 : 1e-5 * (1 + std::abs(static_cast<double>(whole.gradients[t][g]))))
            << "parts of " << part;
      }
    }
    EXPECT_EQ(sums.size(), elements);
  }
}

TEST_P(ModelContract, KeepsNothingFromOneBatchToTheNext) {
  const auto data = rows_for(GetParam());
  Trial used(GetParam(), data->shape()), fresh(GetParam(), data->shape());
  BatchReader reader(data);
  (void)used.run(reader.read_plain(20, 40));
  (void)used.run(reader.read_plain(0, 3));
  (void)used.run(reader.read_plain(5, 30), true);
  const Batch batch = reader.read_plain(40, 16);
  const auto first = used.run(batch), second = fresh.run(batch);
  EXPECT_EQ(first.gradients, second.gradients);
  EXPECT_EQ(first.losses.loss_sum, second.losses.loss_sum);
}

TEST_P(ModelContract, EvaluationSumsTheSameLossesAsTheUpdate) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 48);
  const Losses losses = trial.run(batch).losses;
  const Scores scores = trial.run(batch, true).scores;
  EXPECT_EQ(scores.examples, batch.rows);
  EXPECT_NEAR(scores.loss_sum, losses.loss_sum, 1e-6 * losses.loss_sum);
  EXPECT_GE(scores.metric_sum, 0);
  if (trial.model->metric() == "accuracy") { EXPECT_LE(scores.metric_sum, static_cast<double>(batch.rows)); }
  if (trial.model->metric() == "mse") { EXPECT_NEAR(scores.metric_sum, 2 * losses.loss_sum, 1e-6 * losses.loss_sum); }
  EXPECT_GT(losses.loss_sum, 0);
  EXPECT_GE(losses.loss_squares * batch.rows, losses.loss_sum * losses.loss_sum);  // Cauchy–Schwarz
}

TEST_P(ModelContract, OutputsAreWhatIsScoredAndLookAtNoLabel) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  Batch batch = reader.read_plain(0, 48);
  const auto scored = trial.run(batch, true);
  ASSERT_EQ(scored.outputs.size() % batch.rows, 0U);
  const std::size_t width = scored.outputs.size() / batch.rows;
  double metric = 0;
  for (std::size_t i = 0; i < batch.rows; ++i) {
    const auto row = std::span(scored.outputs).subspan(i * width, width);
    const auto best = static_cast<float>(std::max_element(row.begin(), row.end()) - row.begin());
    const float predicted = width > 1 ? best : row[0] > 0 ? 1.0F : 0.0F;
    if (!trial.model->predicts_labels()) continue;
    const double off = static_cast<double>(row[0]) - static_cast<double>(batch.labels[i]);
    metric += trial.model->metric() == "mse" ? off * off : predicted == batch.labels[i] ? 1 : 0;
  }
  if (trial.model->predicts_labels()) { EXPECT_NEAR(metric, scored.scores.metric_sum, 1e-5 * (1 + metric)); }
  const std::vector<float> zeros(batch.rows, 0.0F);
  batch.labels = zeros;
  EXPECT_EQ(trial.run(batch, true).outputs, scored.outputs);
}

/// A NaN among the parameters is never hidden (by a maximum, say): the losses are NaN, and so the job's failure is seen in the batch it happens in.
TEST_P(ModelContract, NanInAParameterShowsInTheLosses) {
  if (GetParam().model == "gbt") GTEST_SKIP() << "its state is no parameters: gbt_test.cc, AStateThatIsNoneIsSaid";
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 32);
  const auto before = trial.run(batch);
  for (std::size_t t = 0; t < trial.tables.size(); ++t) {
    if (trial.tables[t].use == TableUse::kStatistics) continue;  // not looked at
    float& value = trial.value(t, before.keys[t].empty() ? 0 : before.keys[t].front(), 0);
    const float kept = value;
    value = std::numeric_limits<float>::quiet_NaN();
    if (GetParam().model == "lda" && t == 0) {  // the number of passes ended: said in words
      EXPECT_THROW((void)trial.run(batch), std::runtime_error);
      value = kept;
      continue;
    }
    const auto result = trial.run(batch);
    EXPECT_TRUE(std::isnan(result.losses.loss_sum)) << trial.tables[t].name;
    EXPECT_TRUE(std::isnan(result.losses.loss_squares)) << trial.tables[t].name;
    EXPECT_TRUE(std::isnan(trial.run(batch, true).scores.loss_sum)) << trial.tables[t].name;
    value = kept;
  }
}

TEST_P(ModelContract, LabelOutsideItsClassesIsSaidInWords) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape());
  if (!trial.model->predicts_labels()) GTEST_SKIP() << "it may look at no label; then any will do";
  BatchReader reader(data);
  const Batch good = reader.read_plain(0, 8);
  for (const float wrong : {3.0F, -1.0F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    if (GetParam().classes == 0 && std::isfinite(wrong)) continue;  // any finite number may be a target
    std::vector<float> labels(good.labels.begin(), good.labels.end());
    labels[5] = wrong;
    Batch batch = good;
    batch.labels = labels;
    try {
      (void)trial.run(batch);
      ADD_FAILURE() << "label " << wrong << " was accepted";
    } catch (const std::exception& error) { EXPECT_NE(std::string(error.what()).find("label"), std::string::npos) << error.what(); }
  }
}

class PhaseContract : public ::testing::TestWithParam<Case> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(PhaseContract);
INSTANTIATE_TEST_SUITE_P(Every, PhaseContract, ::testing::ValuesIn(phase_cases()));

TEST_P(PhaseContract, TablesAreDenseAndMoreEpochsAreNoFewerPhases) {
  const auto data = rows_for(GetParam());
  const Trial trial(GetParam(), data->shape());
  EXPECT_NE(trial.model->update_kind(), UpdateKind::kGradient);
  for (const TableDecl& table : trial.tables) EXPECT_EQ(table.kind, proto::TableKind::kDense) << table.name;
  for (std::uint32_t epochs = 1; epochs < 5; ++epochs) {
    EXPECT_GT(trial.model->phases(epochs), 0U);
    EXPECT_GE(trial.model->phases(epochs + 1), trial.model->phases(epochs));
  }
}

/// A slot that dies at it leaves nothing behind: another one, with a model object of its own, must come to the same.
TEST_P(PhaseContract, TheEndOfAPhaseWritesEveryFloatAndIsTheSameWhoeverComputesItAndHoweverOften) {
  const auto data = rows_for(GetParam());
  Trial trial(GetParam(), data->shape()), other(GetParam(), data->shape());
  trial.begin(11);
  BatchReader reader(data);
  for (std::uint32_t phase = 0; phase < trial.model->phases(2); ++phase) {
    for (const std::uint32_t first : {0U, 20U}) trial.add(trial.run(reader.read_plain(first, first == 0 ? 20 : 44)).gradients);
    PhaseEnd end, again, elsewhere;
    const auto changes = trial.finish_phase(phase, &end);
    for (std::size_t t = 0; t < changes.size(); ++t)
      EXPECT_TRUE(std::all_of(changes[t].begin(), changes[t].end(), [](float v) { return std::isfinite(v); })) << trial.tables[t].name;
    EXPECT_EQ(trial.finish_phase(phase, &again), changes);
    other.dense = trial.dense;
    (void)other.run(reader.read_plain(3, 9));
    EXPECT_EQ(other.finish_phase(phase, &elsewhere), changes);
    EXPECT_EQ(end.done, again.done);
    EXPECT_EQ(end.done, elsewhere.done);
    EXPECT_EQ(end.reason, elsewhere.reason);
    EXPECT_EQ(end.done, !end.reason.empty()) << "an end has a reason";
    trial.add(changes);
  }
}

/// Batches of a pass may come in any order, cut in any way: nearly the same parameters come of it.
TEST_P(PhaseContract, HowAPassIsCutIntoBatchesMattersToNobody) {
  const auto data = rows_for(GetParam(), 128);
  std::vector<std::vector<std::vector<float>>> ends;
  for (const std::uint32_t batch : {128U, 7U}) {
    LocalTrainer trainer(made(GetParam(), data->shape()), data, {.batch = batch, .seed = 5, .chunk_rows = 128, .epochs = 2});
    (void)trainer.train(1'000'000);
    EXPECT_TRUE(trainer.ended().done);
    EXPECT_LE(trainer.phases(), made(GetParam(), data->shape())->phases(2));
    auto& tables = ends.emplace_back();
    for (std::size_t t = 0; t < made(GetParam(), data->shape())->tables().size(); ++t) tables.push_back(trainer.values(t));
  }
  for (std::size_t t = 0; t < ends[0].size(); ++t) {
    for (std::size_t i = 0; i < ends[0][t].size(); ++i) ASSERT_NEAR(ends[0][t][i], ends[1][t][i], 1e-3F * (1 + std::abs(ends[0][t][i]))) << t << " " << i;
  }
}

TEST(Models, UnknownNamesAndParametersNameTheNearest) {
  const ModelRegistry models = builtin_models();
  const auto error = [&](const std::string& name, const std::string& params) {
    const auto checked = check_model(models, name, params);
    EXPECT_TRUE(!checked && checked.error().code == Errc::kBadConfig) << name << " " << params;
    return checked ? std::string() : checked.error().what;
  };
  EXPECT_NE(error("sofmax", "{}").find("did you mean 'softmax'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"hiden": [3]})").find("did you mean 'hidden'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"hidden": []})").find("'hidden'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"hidden": [0]})").find("'hidden'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"hidden": [2.5]})").find("'hidden'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"hidden": [99999999999999999999999]})").find("'hidden'"), std::string::npos);
  EXPECT_NE(error("mlp", R"({"activation": "sigmoid"})").find("one of relu, tanh"), std::string::npos);
  EXPECT_NE(error("softmax", R"({"l2": "much"})").find("'l2'"), std::string::npos);
  EXPECT_NE(error("logistic", R"({"l2": -1})").find("'l2'"), std::string::npos);
  EXPECT_NE(error("svm-poly", R"({"bits": 3})").find("a whole number from 4 to 30, not 3"), std::string::npos);
  EXPECT_NE(error("svm-poly", R"({"gamma": 0})").find("'gamma'"), std::string::npos);
  EXPECT_NE(error("fm", R"({"rank": 2.5})").find("a whole number from 1 to 256, not 2.5"), std::string::npos);
  EXPECT_NE(error("fm", R"({"rank": -1})").find("'rank'"), std::string::npos);
  EXPECT_NE(error("mf", R"({"rank": 0})").find("'rank'"), std::string::npos);
  EXPECT_NE(error("logistic", "[]").find("object"), std::string::npos);
  EXPECT_NE(error("logistic", "{").find("object"), std::string::npos);
  for (const std::string& name : models.names()) EXPECT_TRUE(check_model(models, name, "{}")) << name;
}

TEST(Models, DataThatDoesNotFitIsSaid) {
  const ModelRegistry models = builtin_models();
  const auto make = [&](const char* name, const DataShape& shape) {
    auto made = (**models.find(name))("{}", shape);
    return made ? std::string() : made.error().what;
  };
  EXPECT_EQ(make("logistic", {10, 4, 2, true}), "");
  EXPECT_NE(make("logistic", {10, 4, 3, true}).find("classes"), std::string::npos);
  EXPECT_NE(make("mlp", {10, 4, 3, true}).find("dense"), std::string::npos);
  EXPECT_NE(make("softmax", {10, 4, 1, false}).find("classes"), std::string::npos);
  for (const char* name : {"softmax", "svm-poly", "fm"}) EXPECT_NE(make(name, {10, 0, 3, false}).find("feature"), std::string::npos) << name;
  EXPECT_NE(make("fm", {10, 4, 9000, true}).find("2 to 8192 classes"), std::string::npos);
  EXPECT_NE(make("fm", {10, 1ULL << 32, 2, true}).find("a lower rank"), std::string::npos);
  for (const char* name : {"softmax", "logistic", "svm", "svm-poly", "fm", "mlp"})
    EXPECT_NE(make(name, {10, 4, 0, false}).find("labels: targets"), std::string::npos) << name;
  for (const char* name : {"linear", "ridge", "mf"}) {
    EXPECT_NE(make(name, {10, 4, 3, false}).find("are classes; if they are numbers, say labels: targets"), std::string::npos);
    EXPECT_EQ(make(name, {10, 4, 0, true}), "");
  }
  EXPECT_TRUE(check_model(models, "linear", "{}", proto::LabelKind::kTargets));
  EXPECT_FALSE(check_model(models, "linear", "{}", proto::LabelKind::kClasses));
  EXPECT_TRUE(check_model(models, "softmax", "{}", proto::LabelKind::kClasses));
  EXPECT_FALSE(check_model(models, "softmax", "{}", proto::LabelKind::kTargets));
  EXPECT_NE(make("softmax", {10, 1ULL << 32, 10, true}).find("more than a table may have"), std::string::npos);
}

/// ridge is linear with l2, also where none is given.
TEST(Models, RidgeShrinksByDefault) {
  const Case plain{"linear", R"({"l2": 0.01})", false, 0}, ridge{"ridge", "{}", false, 0};
  const auto data = rows_for(ridge);
  Trial of_linear(plain, data->shape()), of_ridge(ridge, data->shape());
  BatchReader reader(data);
  const Batch batch = reader.read_plain(0, 32);
  EXPECT_EQ(of_linear.run(batch).gradients, of_ridge.run(batch).gradients);
}

}  // namespace
}  // namespace sluice::worker::fixtures
