#include "worker/trained_model.h"

#include <fmt/format.h>
#include <tbb/blocked_range.h>
#include <tbb/enumerable_thread_specific.h>
#include <tbb/parallel_for.h>

#include <algorithm>
#include <stdexcept>

#include "base/assert.h"
#include "proto/table_init.h"
#include "worker/metrics.h"
#include "worker/plugin/runner.h"

namespace sluice::worker {
namespace {

constexpr std::uint32_t kBlock = 4096;  // rows at a time: few enough for a core's cache, and many that share keys, each of which is looked up once

/// The first of [at, end) that is not less than `key`, as std::lower_bound finds it: fast where it is near.
template <class It>
It not_less(It at, It end, Key key) {
  std::ptrdiff_t step = 1;
  while (step < end - at && at[step] < key) {
    at += step;
    step *= 2;
  }
  return std::lower_bound(at, step < end - at ? at + step + 1 : end, key);
}

/// The rows of `table` for `keys`, which are sorted; those that were never pushed to are their first values.
void gather(const proto::SavedTable& table, std::span<const Key> keys, std::vector<float>& out) {
  const std::size_t width = table.spec.cols;
  out.resize(keys.size() * width);
  auto at = table.keys.begin();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto into = out.begin() + static_cast<std::ptrdiff_t>(i * width);
    at = not_less(at, table.keys.end(), keys[i]);
    if (at != table.keys.end() && *at == keys[i]) {
      const auto row = static_cast<std::size_t>(at - table.keys.begin());
      std::copy_n(table.values.begin() + static_cast<std::ptrdiff_t>(row * width), width, into);
    } else {
      proto::init_row(table.spec, keys[i], std::span(out).subspan(i * width, width));
    }
  }
}

}  // namespace

/// One thread's model, batch and gathered values.
class TrainedModel::Reader {
 public:
  Reader(const TrainedModel& trained, std::shared_ptr<const Dataset> rows)
      : tables_(trained.saved_.tables),
        model_(trained.make()),
        reader_(std::move(rows)),
        metric_(trained.saved_.job.spec.validation.metric),
        keys_(tables_.size()),
        values_(tables_.size()) {
    for (const TableDecl& table : model_->tables()) uses_.push_back(table.use);
  }

  Scores evaluate(std::uint64_t first, std::uint32_t count) {
    const Batch batch = read(first, count);
    return evaluate_with(metric_, *model_, views_, batch);
  }
  std::span<const float> outputs(std::uint64_t first, std::uint32_t count) {
    const Batch batch = read(first, count);
    return model_->outputs(views_, batch);
  }

 private:
  Batch read(std::uint64_t first, std::uint32_t count) {
    const Batch batch = reader_.read_plain(first, count);
    for (auto& keys : keys_) keys.clear();
    model_->keys(batch, keys_);
    views_.clear();
    for (std::size_t t = 0; t < tables_.size(); ++t) {
      const bool sparse = tables_[t].spec.kind == proto::TableKind::kSparse;
      if (sparse) gather(tables_[t], keys_[t], values_[t]);
      views_.push_back({sparse ? std::span<const float>(values_[t]) : std::span<const float>(tables_[t].values), keys_[t]});
      if (uses_[t] == TableUse::kStatistics) views_.back().values = {};  // as in training
    }
    return batch;
  }

  const std::vector<proto::SavedTable>& tables_;
  std::unique_ptr<Model> model_;
  BatchReader reader_;
  const std::string& metric_;
  std::vector<TableUse> uses_;
  std::vector<std::vector<Key>> keys_;
  std::vector<std::vector<float>> values_;
  std::vector<TableView> views_;
};

TrainedModel::TrainedModel(proto::SavedModel saved, data::SavedMapping data, std::string metric)
    : saved_(std::move(saved)), data_(std::move(data)), metric_(std::move(metric)) {}
TrainedModel::TrainedModel(TrainedModel&&) noexcept = default;
TrainedModel::~TrainedModel() = default;

Result<TrainedModel> TrainedModel::load(proto::SavedModel saved) {
  auto data = data::mapping_from_json(saved.job.data);
  if (!data) return fail(data.error());
  data->shape.epochs = saved.job.spec.epochs;
  saved.job.spec.plugin.digest = 0;  // a plug-in that was built again may still be right: its tables tell
  const auto model = plugin::Runner().make(builtin_models(), saved.job.spec, data->shape);
  if (!model) return fail(model.error());
  const auto& metric = saved.job.spec.validation.metric;
  if (const auto known = check_metric(metric, saved.job.spec.data.labels); !metric.empty() && !known) return fail(Errc::kBadData, known.error().what);
  if (class_names(data->mapping).size() != data->shape.classes) return fail(Errc::kBadData, "its classes and their names do not agree");
  const auto declared = (*model)->tables();
  bool fits = declared.size() == saved.tables.size();
  for (std::size_t t = 0; fits && t < declared.size(); ++t) {
    const auto& spec = saved.tables[t].spec;
    fits = spec.name == declared[t].name && spec.kind == declared[t].kind && spec.cols == declared[t].cols && spec.rows == declared[t].rows;
  }
  if (!fits) return fail(Errc::kBadData, fmt::format("its tables are not those of model '{}' on such data", saved.job.spec.model));
  std::string scored_by = metric_name(metric, **model);
  return TrainedModel(std::move(saved), std::move(*data), std::move(scored_by));
}

std::unique_ptr<Model> TrainedModel::make() const {
  auto model = plugin::Runner().make(builtin_models(), saved_.job.spec, data_.shape);
  if (!model) throw std::runtime_error(model.error().what);  // load() made one: a plug-in can fail all the same
  return std::move(*model);
}

std::vector<std::string> TrainedModel::labels(std::size_t outputs) const {
  if (make()->predicts_labels()) return class_names(data_.mapping);
  std::vector<std::string> numbers;
  for (std::size_t i = 0; i < std::max<std::size_t>(outputs, 2); ++i) numbers.push_back(std::to_string(i));  // one output says 0 or 1
  return numbers;
}

Result<std::shared_ptr<const Dataset>> TrainedModel::read(const proto::DataSpec& spec) const { return read_in_order(spec, data_); }

void TrainedModel::each_block(const std::shared_ptr<const Dataset>& rows,
                              const std::function<void(Reader&, std::uint64_t first, std::uint32_t count)>& visit) const {
  tbb::enumerable_thread_specific<std::unique_ptr<Reader>> readers;
  const std::uint64_t count = rows->shape().rows;
  tbb::parallel_for(tbb::blocked_range<std::uint64_t>(0, (count + kBlock - 1) / kBlock), [&](const auto& range) {
    auto& reader = readers.local();
    if (!reader) reader = std::make_unique<Reader>(*this, rows);
    for (std::uint64_t block = range.begin(); block != range.end(); ++block) {
      const std::uint64_t first = block * kBlock;
      visit(*reader, first, static_cast<std::uint32_t>(std::min<std::uint64_t>(kBlock, count - first)));
    }
  });
}

Scores TrainedModel::evaluate(const std::shared_ptr<const Dataset>& rows) const {
  std::vector<Scores> parts((rows->shape().rows + kBlock - 1) / kBlock);  // summed in order: the same every time
  each_block(rows, [&](Reader& reader, std::uint64_t first, std::uint32_t count) { parts[first / kBlock] = reader.evaluate(first, count); });
  Scores sum;
  for (const Scores& part : parts) {
    sum.examples += part.examples;
    sum.loss_sum += part.loss_sum;
    sum.metric_sum += part.metric_sum;
  }
  return sum;
}

std::size_t TrainedModel::outputs(const std::shared_ptr<const Dataset>& rows) const {
  return rows->shape().rows == 0 ? 0 : Reader(*this, rows).outputs(0, 1).size();
}

std::vector<std::string> TrainedModel::predict_text(const std::shared_ptr<const Dataset>& rows, const Line& line) const {
  std::vector<std::string> parts((rows->shape().rows + kBlock - 1) / kBlock);
  each_block(rows, [&](Reader& reader, std::uint64_t first, std::uint32_t n) {
    const auto scores = reader.outputs(first, n);
    if (scores.size() % n != 0) throw std::runtime_error("the model gives some rows more outputs than others");
    const std::size_t width = scores.size() / n;
    for (std::size_t at = 0; at < scores.size(); at += width) line(scores.subspan(at, width), parts[first / kBlock]);
  });
  return parts;
}

Predictions TrainedModel::predict(const std::shared_ptr<const Dataset>& rows) const {
  Predictions out;
  const std::uint64_t count = rows->shape().rows;
  if (count == 0) return out;
  out.outputs = outputs(rows);
  out.scores.resize(count * out.outputs);
  each_block(rows, [&](Reader& reader, std::uint64_t first, std::uint32_t n) {
    const auto scores = reader.outputs(first, n);
    if (scores.size() != n * out.outputs) throw std::runtime_error("the model gives some rows more outputs than others");
    std::copy(scores.begin(), scores.end(), out.scores.begin() + static_cast<std::ptrdiff_t>(first * out.outputs));
  });
  return out;
}

}  // namespace sluice::worker
