#include "worker/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include "worker/models/cases.h"

namespace sluice::worker {
namespace {

using ::testing::HasSubstr;

double of_row(const std::string& name, std::vector<float> outputs, float label) {
  const auto metrics = builtin_metrics();
  const auto metric = metrics.find(name);
  EXPECT_TRUE(metric);
  return (*metric)->of_row(outputs, label);
}

TEST(Metrics, ARowOfClassesByHand) {
  EXPECT_EQ(of_row("accuracy", {0.1F, 3, 2}, 1), 1);
  EXPECT_EQ(of_row("accuracy", {3, 3, 2}, 1), 0) << "of equals the first";
  EXPECT_EQ(of_row("error", {0.1F, 3, 2}, 2), 1);
  EXPECT_EQ(of_row("accuracy", {0.5F}, 1), 1);
  EXPECT_EQ(of_row("accuracy", {0}, 1), 0) << "0 says class 0";
  EXPECT_EQ(of_row("top-5", {9, 8, 7, 6, 5, 4, 3}, 4), 1);
  EXPECT_EQ(of_row("top-5", {9, 8, 7, 6, 5, 4, 3}, 5), 0);
  EXPECT_EQ(of_row("top-5", {9, 8, 7, 6, 5, 5, 3}, 4), 0) << "a sixth is as large";
  EXPECT_EQ(of_row("top-5", {-2}, 0), 1);
  for (const char* name : {"accuracy", "top-5"}) EXPECT_EQ(of_row(name, {NAN, 1, 2}, 2), 0) << name;
}

TEST(Metrics, ARowOfTargetsByHand) {
  EXPECT_DOUBLE_EQ(of_row("mse", {1.5F}, 4), 6.25);
  EXPECT_DOUBLE_EQ(of_row("mae", {1.5F}, 4), 2.5);
}

TEST(Metrics, UnknownNamesAndOtherLabelsAreRefused) {
  EXPECT_TRUE(check_metric("top-5", proto::LabelKind::kClasses));
  EXPECT_THAT(check_metric("mae", proto::LabelKind::kClasses).error().what, HasSubstr("metric 'mae' is for targets, and the data's labels are classes"));
  EXPECT_THAT(check_metric("acuracy", proto::LabelKind::kClasses).error().what, HasSubstr("did you mean 'accuracy'"));
}

/// The trial's parameters as a batch of `keys` sees them; `values` is the memory.
std::vector<TableView> views_of(const fixtures::Trial& trial, const std::vector<std::vector<Key>>& keys, std::vector<std::vector<float>>& values) {
  values = trial.dense;
  std::vector<TableView> views;
  for (std::size_t t = 0; t < values.size(); ++t) {
    for (const Key key : keys[t]) {
      const auto& row = trial.sparse_rows.at({t, key});
      values[t].insert(values[t].end(), row.begin(), row.end());
    }
    views.push_back({values[t], keys[t]});
  }
  return views;
}

/// A metric that is the model's own comes out the same by both ways; `error` is what accuracy leaves; others than accuracy and mse are not mixed.
TEST(Metrics, WhatOutputsSayIsWhatTheModelsOwnScoreSays) {
  for (const auto& c : fixtures::all_cases()) {
    const auto data = fixtures::rows_for(c);
    fixtures::Trial trial(c, data->shape());
    BatchReader reader(data);
    const Batch batch = reader.read_plain(0, 64);
    const auto run = trial.run(batch, /*evaluate=*/true);
    std::vector<std::vector<float>> values;
    const auto views = views_of(trial, run.keys, values);
    const std::string own = trial.model->metric();
    const Scores direct = evaluate_with("", *trial.model, views, batch);
    EXPECT_EQ(direct.metric_sum, run.scores.metric_sum);
    EXPECT_EQ(metric_name("", *trial.model), own);
    if (own == "accuracy") {
      EXPECT_DOUBLE_EQ(evaluate_with("error", *trial.model, views, batch).metric_sum, batch.rows - direct.metric_sum) << c.name();
      EXPECT_GE(evaluate_with("top-5", *trial.model, views, batch).metric_sum, direct.metric_sum) << c.name();
      EXPECT_EQ(metric_name("top-5", *trial.model), "top-5");
    } else if (own == "mse") {
      const double mae = evaluate_with("mae", *trial.model, views, batch).metric_sum / batch.rows;
      EXPECT_LE(mae * mae, direct.metric_sum / batch.rows * (1 + 1e-9)) << c.name();
    } else {
      EXPECT_THROW((void)evaluate_with("accuracy", *trial.model, views, batch), std::invalid_argument) << c.name();
    }
  }
}

}  // namespace
}  // namespace sluice::worker
