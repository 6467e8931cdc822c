// A built-in model as a plug-in, compiled from the same sources: what `bench/run plugin` sets beside the one that runs in the worker. BUILTIN_MAKE: its maker;
// BUILTIN_NAME: its name.
#include "sluice/model.h"
#include "worker/models/linear.h"
#include "worker/models/mlp.h"

namespace {
namespace inside = sluice::worker;
using namespace sluice::plugin;

class BuiltIn final : public Model {
 public:
  BuiltIn(const Params& params, const DataShape& shape) {
    const std::string hidden = params.json("hidden");
    const std::string text = hidden.empty() ? "{}" : "{\"hidden\": " + hidden + "}";
    auto made = inside::models::BUILTIN_MAKE(text, {shape.rows, shape.features, shape.classes, shape.sparse});
    if (!made) throw BadParams(made.error().what);
    model_ = std::move(*made);
    for (const auto& from : model_->tables())
      tables_.push_back({from.name, static_cast<Kind>(from.kind), from.rows, from.cols, static_cast<Init>(from.init.kind), from.init.scale, Use::kParameters});
  }
  std::vector<Table> tables() const override { return tables_; }
  void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const override { model_->keys(rows(batch), out); }
  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    take(params);
    updates_.clear();
    for (const auto& each : out) updates_.push_back({each.values});
    const auto losses = model_->update(views_, rows(batch), updates_);
    return {losses.loss_sum, losses.loss_squares};
  }
  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    take(params);
    return model_->outputs(views_, rows(batch));
  }
  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    take(params);
    const auto scores = model_->evaluate(views_, rows(batch));
    return {scores.examples, scores.loss_sum, scores.metric_sum};
  }

 private:
  static inside::Batch rows(const Batch& b) { return {b.rows, b.features, b.dense, b.offsets, b.indices, b.values, b.labels}; }
  void take(std::span<const TableView> params) {
    views_.clear();
    for (const auto& each : params) views_.push_back({each.values, each.keys});
  }
  std::unique_ptr<inside::Model> model_;
  std::vector<Table> tables_;
  std::vector<inside::TableView> views_;
  std::vector<inside::TableUpdate> updates_;
};

}  // namespace

SLUICE_PLUGIN(BuiltIn, BUILTIN_NAME, "bench");
