#pragma once
/// Scores of held-out rows beside the loss, that a job may ask for instead of its model's own: functions of what the model says of a row and of its label,
/// added up over the rows. Pure.

#include <functional>
#include <span>
#include <string>

#include "base/registry.h"
#include "worker/model.h"

namespace sluice::worker {

struct Metric {
  proto::LabelKind labels;  ///< what it is for
  /// One row: its Model::outputs(), its label.
  std::function<double(std::span<const float> outputs, float label)> of_row;
};
using MetricRegistry = Registry<Metric>;

/// For classes: `accuracy` (share of rows whose class is right), `error` (1 − accuracy), `top-5` (share of rows whose class is among the five largest outputs,
/// all of those equal to the fifth counted as larger; for one output: accuracy). For targets: `mse` (mean squared error), `mae` (mean absolute error).
[[nodiscard]] MetricRegistry builtin_metrics();
/// Errors: kBadConfig: an unknown name, or a metric of other labels.
[[nodiscard]] Result<void> check_metric(const std::string& name, proto::LabelKind labels);

/// Whether a model whose own metric this is can be scored by others: its outputs say a class or a target.
[[nodiscard]] bool takes_other_metrics(const std::string& own);
/// The model's scores of a batch, metric_sum that of `metric` (a name that check_metric accepted; empty or the model's own: as evaluate() says). Throws what
/// the model throws, and std::invalid_argument where its own metric is the only one.
[[nodiscard]] Scores evaluate_with(const std::string& metric, Model& model, std::span<const TableView> params, const Batch& batch);
/// What its metric_sum sums.
[[nodiscard]] std::string metric_name(const std::string& metric, const Model& model);

}  // namespace sluice::worker
