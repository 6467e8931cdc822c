#pragma once
/// A trained model out of a file: scores rows without a cluster.

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proto/saved_model.h"
#include "worker/data/dataset.h"
#include "worker/data/mapping.h"
#include "worker/model.h"

namespace sluice::worker {

struct Predictions {
  std::size_t outputs = 0;    ///< of a row; what they mean: Model::outputs()
  std::vector<float> scores;  ///< rows × outputs, row-major
};

class TrainedModel {
 public:
  /// Errors: kBadConfig: a model that is not known, kBadData: its tables do not fit it, or it does not say how its data was read.
  [[nodiscard]] static Result<TrainedModel> load(proto::SavedModel saved);
  TrainedModel(TrainedModel&&) noexcept;
  ~TrainedModel();

  [[nodiscard]] const proto::SavedJob& job() const { return saved_.job; }
  /// What the training file calls each class; empty for targets. Of a model that predicts no labels: its outputs' numbers.
  [[nodiscard]] std::vector<std::string> labels(std::size_t outputs) const;
  [[nodiscard]] const DataShape& shape() const { return data_.shape; }
  /// What evaluate()'s metric_sum sums.
  [[nodiscard]] const std::string& metric() const { return metric_; }

  /// Reads rows as the training data was read, in the file's order, into memory. `spec`: its files as `train`. Errors: as open_data(); bad rows beyond
  /// spec.max_bad_rows.
  [[nodiscard]] Result<std::shared_ptr<const Dataset>> read(const proto::DataSpec& spec) const;
  /// On all cores (TBB); the rows' order has no say. What the model throws is thrown.
  [[nodiscard]] Scores evaluate(const std::shared_ptr<const Dataset>& rows) const;
  /// On all cores.
  [[nodiscard]] Predictions predict(const std::shared_ptr<const Dataset>& rows) const;
  /// Outputs of a row; 0 where there are no rows.
  [[nodiscard]] std::size_t outputs(const std::shared_ptr<const Dataset>& rows) const;
  /// What `line` appends for each row, told its outputs: the rows in order, many to a string. On all cores; `line` is called by several threads at once.
  using Line = std::function<void(std::span<const float> outputs, std::string& to)>;
  [[nodiscard]] std::vector<std::string> predict_text(const std::shared_ptr<const Dataset>& rows, const Line& line) const;

 private:
  TrainedModel(proto::SavedModel saved, data::SavedMapping data, std::string metric);
  class Reader;
  void each_block(const std::shared_ptr<const Dataset>& rows, const std::function<void(Reader&, std::uint64_t first, std::uint32_t count)>& visit) const;
  [[nodiscard]] std::unique_ptr<Model> make() const;

  proto::SavedModel saved_;
  data::SavedMapping data_;
  std::string metric_;
};

}  // namespace sluice::worker
