#include "worker/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace sluice::worker {
namespace {

/// As Model::outputs() says it: class 1 where the one output is above 0; else the first of the largest. NaN is no class.
bool right_class(std::span<const float> outputs, float label) {
  if (outputs.size() == 1) return !std::isnan(outputs[0]) && (outputs[0] > 0) == (label == 1);
  if (std::any_of(outputs.begin(), outputs.end(), [](float z) { return std::isnan(z); })) return false;
  return std::max_element(outputs.begin(), outputs.end()) - outputs.begin() == static_cast<std::ptrdiff_t>(label);
}

bool among_five(std::span<const float> outputs, float label) {
  if (outputs.size() == 1) return right_class(outputs, label);
  const auto place = static_cast<std::size_t>(label);
  if (place >= outputs.size() || std::any_of(outputs.begin(), outputs.end(), [](float z) { return std::isnan(z); })) return false;
  const auto not_smaller = std::count_if(outputs.begin(), outputs.end(), [&](float z) { return z >= outputs[place]; });
  return not_smaller <= 5;  // itself is one
}

double difference(std::span<const float> outputs, float label) { return static_cast<double>(outputs[0]) - static_cast<double>(label); }

}  // namespace

MetricRegistry builtin_metrics() {
  using Row = std::span<const float>;
  MetricRegistry out("metric");
  out.add("accuracy", {proto::LabelKind::kClasses, [](Row z, float label) { return right_class(z, label) ? 1.0 : 0.0; }});
  out.add("error", {proto::LabelKind::kClasses, [](Row z, float label) { return right_class(z, label) ? 0.0 : 1.0; }});
  out.add("top-5", {proto::LabelKind::kClasses, [](Row z, float label) { return among_five(z, label) ? 1.0 : 0.0; }});
  out.add("mse", {proto::LabelKind::kTargets, [](Row z, float label) { return difference(z, label) * difference(z, label); }});
  out.add("mae", {proto::LabelKind::kTargets, [](Row z, float label) { return std::abs(difference(z, label)); }});
  return out;
}

Result<void> check_metric(const std::string& name, proto::LabelKind labels) {
  const auto metrics = builtin_metrics();
  const auto metric = metrics.find(name);
  if (!metric) return fail(metric.error());
  if ((*metric)->labels == labels) return {};
  return fail(Errc::kBadConfig,
              fmt::format("metric '{}' is for {}, and the data's labels are {}", name, labels == proto::LabelKind::kClasses ? "targets" : "classes",
                          labels == proto::LabelKind::kClasses ? "classes" : "targets"));
}

bool takes_other_metrics(const std::string& own) { return own == "accuracy" || own == "mse"; }

std::string metric_name(const std::string& metric, const Model& model) { return metric.empty() ? model.metric() : metric; }

Scores evaluate_with(const std::string& metric, Model& model, std::span<const TableView> params, const Batch& batch) {
  Scores scores = model.evaluate(params, batch);
  const std::string own = model.metric();
  if (metric.empty() || metric == own) return scores;
  static const MetricRegistry metrics = builtin_metrics();
  const auto found = metrics.find(metric);
  if (!found || !takes_other_metrics(own)) throw std::invalid_argument(fmt::format("metric '{}' is not for this model, which is scored by '{}'", metric, own));
  const auto outputs = model.outputs(params, batch);
  const std::size_t width = batch.rows == 0 ? 0 : outputs.size() / batch.rows;
  scores.metric_sum = 0;
  for (std::uint32_t row = 0; row < batch.rows; ++row) scores.metric_sum += (*found)->of_row(outputs.subspan(row * width, width), batch.labels[row]);
  return scores;
}

}  // namespace sluice::worker
