#include "worker/local_trainer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/assert.h"
#include "base/rng.h"

namespace sluice::worker {
namespace {

constexpr std::uint32_t kEvaluateRows = 1024;

void descend(std::span<float> values, std::span<const float> gradient, float lr) {
  float* v = values.data();
  const float* g = gradient.data();
  if (lr == -1) {  // exactly
    for (std::size_t i = 0; i < gradient.size(); ++i) v[i] += g[i];
    return;
  }
  for (std::size_t i = 0; i < gradient.size(); ++i) v[i] -= lr * g[i];
}

}  // namespace

float first_value(const proto::InitSpec& init, std::uint64_t seed, std::uint64_t table, std::uint64_t element) {
  if (init.kind == proto::InitKind::kZero) return 0;
  const std::uint64_t bits = mix64(mix64(seed, table), element);
  const double u = unit_double(bits);
  if (init.kind == proto::InitKind::kUniform) return init.scale * static_cast<float>(2 * u - 1);
  const double v = unit_double(mix64(bits));  // Box and Muller
  return init.scale * static_cast<float>(std::sqrt(-2 * std::log(1 - u)) * std::cos(2 * std::numbers::pi * v));
}

std::vector<std::vector<float>> first_values(std::span<const TableDecl> tables, std::uint64_t seed) {
  std::vector<std::vector<float>> out;
  for (std::size_t t = 0; t < tables.size(); ++t) {
    auto& values = out.emplace_back(tables[t].rows * tables[t].cols);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = first_value(tables[t].init, seed, t, i);
  }
  return out;
}

struct LocalTrainer::Impl {
  std::unique_ptr<Model> model;
  std::shared_ptr<const Dataset> data;
  LocalOptions options;
  BatchReader reader;
  std::vector<TableDecl> tables;
  std::vector<std::vector<float>> values;     // of each table; sparse: row k is key k's
  std::vector<std::vector<float>> gathered;   // sparse: the batch's rows
  std::vector<std::vector<float>> gradients;  // room for each table's update
  std::vector<std::vector<Key>> keys;
  std::vector<TableView> views;
  std::vector<TableUpdate> updates;
  std::uint64_t first_row = 0;  // of the chunk
  std::uint32_t offset = 0, epoch = 0;
  std::uint32_t phases = 0, phase = 0;  // in all, ended
  PhaseEnd end;

  Impl(std::unique_ptr<Model> m, std::shared_ptr<const Dataset> d, const LocalOptions& o)
      : model(std::move(m)), data(std::move(d)), options(o), reader(data), tables(model->tables()) {
    if (model->update_kind() != UpdateKind::kGradient) options.lr = -1;
    phases = model->phases(options.epochs);
    const std::size_t n = tables.size();
    values = first_values(tables, options.seed);
    gathered.resize(n), gradients.resize(n), keys.resize(n), views.resize(n), updates.resize(n);
  }

  [[nodiscard]] bool sparse(std::size_t t) const { return tables[t].kind == proto::TableKind::kSparse; }

  /// Points views and updates at what the batch needs.
  void view(const Batch& batch) {
    for (auto& list : keys) list.clear();
    model->keys(batch, keys);
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const std::size_t width = tables[t].cols, n = sparse(t) ? keys[t].size() * width : values[t].size();
      if (sparse(t)) {
        if (gathered[t].size() < n) gathered[t].resize(n);
        for (std::size_t k = 0; k < keys[t].size(); ++k) std::copy_n(values[t].data() + keys[t][k] * width, width, gathered[t].data() + k * width);
      }
      if (gradients[t].size() < n) gradients[t].resize(n);
      views[t] = {std::span<const float>(sparse(t) ? gathered[t] : values[t]).first(n), keys[t]};
      updates[t] = {std::span(gradients[t]).first(n)};
      if (tables[t].use == TableUse::kStatistics) views[t].values = {};
      if (tables[t].use == TableUse::kState) updates[t] = {};
    }
  }

  /// All rows of a pass are trained on.
  void end_pass() {
    for (std::size_t t = 0; t < tables.size(); ++t) {
      gradients[t].resize(values[t].size());
      views[t] = {values[t], {}};
      updates[t] = {gradients[t]};
    }
    end = model->finish_phase(views, phase++, updates);
    apply();
    end.done = end.done || phase == phases;
  }

  void apply() {
    for (std::size_t t = 0; t < tables.size(); ++t) {
      const std::span<const float> gradient = updates[t].values;
      if (!sparse(t)) {
        descend(values[t], gradient, options.lr);
        continue;
      }
      const std::size_t width = tables[t].cols;
      for (std::size_t k = 0; k < keys[t].size(); ++k)
        descend(std::span(values[t]).subspan(keys[t][k] * width, width), gradient.subspan(k * width, width), options.lr);
    }
  }

  [[nodiscard]] std::uint32_t chunk_rows() const {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(options.chunk_rows, data->shape().rows - first_row));
  }

  Batch next() {
    if (offset == chunk_rows()) {
      first_row += offset;
      offset = 0;
      if (first_row == data->shape().rows) first_row = 0, ++epoch;
    }
    const std::uint32_t rows = std::min(options.batch, chunk_rows() - offset);
    const Batch batch = reader.read(first_row, chunk_rows(), options.seed, epoch, offset, rows);
    offset += rows;
    return batch;
  }
};

LocalTrainer::LocalTrainer(std::unique_ptr<Model> model, std::shared_ptr<const Dataset> data, const LocalOptions& options)
    : impl_(std::make_unique<Impl>(std::move(model), std::move(data), options)) {
  SLUICE_ASSERT(impl_->data->shape().rows > 0 && options.batch > 0 && options.chunk_rows > 0);
}
LocalTrainer::~LocalTrainer() = default;

std::uint64_t LocalTrainer::train(std::uint64_t batches, std::vector<double>* losses) {
  std::uint64_t examples = 0;
  for (std::uint64_t b = 0; b < batches && !impl_->end.done; ++b) {
    const Batch batch = impl_->next();
    impl_->view(batch);
    const Losses of_batch = impl_->model->update(impl_->views, batch, impl_->updates);
    impl_->apply();
    if (impl_->phases > 0 && impl_->first_row + impl_->offset == impl_->data->shape().rows) impl_->end_pass();
    examples += batch.rows;
    if (losses != nullptr) losses->push_back(of_batch.loss_sum / batch.rows);
  }
  return examples;
}

const PhaseEnd& LocalTrainer::ended() const { return impl_->end; }
std::uint32_t LocalTrainer::phases() const { return impl_->phase; }

std::uint64_t LocalTrainer::epoch_batches() const {
  const std::uint64_t rows = impl_->data->shape().rows, chunk = impl_->options.chunk_rows, batch = impl_->options.batch;
  return rows / chunk * ((chunk + batch - 1) / batch) + (rows % chunk + batch - 1) / batch;
}

Scores LocalTrainer::evaluate(const std::shared_ptr<const Dataset>& data) {
  BatchReader reader(data);
  Scores sum;
  for (std::uint64_t first = 0; first < data->shape().rows; first += kEvaluateRows) {
    const Batch batch = reader.read_plain(first, static_cast<std::uint32_t>(std::min<std::uint64_t>(kEvaluateRows, data->shape().rows - first)));
    impl_->view(batch);
    const Scores part = impl_->model->evaluate(impl_->views, batch);
    sum.examples += part.examples;
    sum.loss_sum += part.loss_sum;
    sum.metric_sum += part.metric_sum;
  }
  return sum;
}

std::vector<float>& LocalTrainer::values(std::size_t table) { return impl_->values.at(table); }

}  // namespace sluice::worker
