#pragma once
/// What a model is: a pure function from (parameters, batch) to (update, loss). Contract suite over every registered name: worker/models/contract_test.cc.
/// A model does no I/O, keeps no state between batches but scratch memory, and one object is used by one slot thread at a time.

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/registry.h"
#include "base/result.h"
#include "net/frame_memory.h"
#include "proto/job_spec.h"
#include "proto/table_spec.h"

namespace sluice::worker {

/// What a model is told about its data before it sees any.
struct DataShape {
  std::uint64_t rows = 0;
  std::uint64_t features = 0;  ///< columns, or the largest feature index + 1
  std::uint32_t classes = 0;   ///< labels are 0 … classes − 1; 2 for ±1 labels read as 0/1; 0: labels are targets, finite numbers to come near to
  bool sparse = false;
  std::uint32_t epochs = 1;  ///< the run file's: for models whose tables grow with them
};

/// Examples [0, rows). Dense: `dense` is rows × features, row-major. Sparse: CSR: row i has entries [offsets[i], offsets[i+1]) of indices/values. All spans
/// live until the next batch is read by the same slot.
struct Batch {
  std::uint32_t rows = 0;
  std::uint64_t features = 0;
  std::span<const float> dense;
  std::span<const std::uint64_t> offsets;  ///< rows + 1, from 0; empty when dense
  std::span<const std::uint32_t> indices;
  std::span<const float> values;
  std::span<const float> labels;  ///< rows: class number, or target
};

/// What update() writes.
enum class UpdateKind : std::uint8_t {
  kGradient = 0,    ///< of the batch's mean loss: the job's optimizer applies it
  kDelta = 1,       ///< the change itself: the servers add it up
  kStatistics = 2,  ///< sums over the batch's examples (counts, histograms): the servers add them up, finish_phase() makes parameters of them
};
/// What batches do with a table. finish_phase() sees all tables and may change each.
enum class TableUse : std::uint8_t {
  kParameters = 0,  ///< pulled and pushed to
  kState = 1,       ///< pulled only: its entry of update()'s `out` is empty
  kStatistics = 2,  ///< pushed to only: its entry of update()'s `params` is empty
};

/// A table as a model declares it; ids are the positions in tables(). Seeds, optimizer and buckets are filled in by the worker.
struct TableDecl {
  std::string name;
  proto::TableKind kind = proto::TableKind::kDense;
  std::uint64_t rows = 0;  ///< dense: rows; sparse: max_rows
  std::uint32_t cols = 0;
  proto::InitSpec init;
  TableUse use = TableUse::kParameters;
};

/// One table's values for one batch. Dense: the whole table. Sparse: row i belongs to keys[i].
struct TableView {
  std::span<const float> values;
  std::span<const Key> keys;
  std::uint64_t keys_number = 0;  ///< not 0: a number that is never given with other keys
};
/// Where update() writes: same shape as the view; contents undefined before; every float must be written.
struct TableUpdate {
  std::span<float> values;
};

struct Losses {
  double loss_sum = 0;      ///< over the batch's examples
  double loss_squares = 0;  ///< sum over examples of the loss squared
};
struct Scores {
  std::uint64_t examples = 0;
  double loss_sum = 0;
  double metric_sum = 0;  ///< accuracy: number right; mse: sum of squared errors
};

/// What finish_phase() says of the job.
struct PhaseEnd {
  bool done = false;   ///< training is over, whatever phases are left
  std::string reason;  ///< for a person, where done: "no centroid moved"
};

/// Thrown by a model whose slot was told to stop or to do something else while it computed for long: the batch is given up, and it is nobody's fault.
class CallInterrupted : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "the worker slot was taken away while the model computed"; }
};

class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual std::vector<TableDecl> tables() const = 0;
  /// Sorted distinct keys that the batch needs of each sparse table, in out[table]; dense tables' entries stay empty. `out` has tables().size() entries,
  /// cleared.
  virtual void keys(const Batch& batch, std::vector<std::vector<Key>>& out) const = 0;
  /// The gradient of the batch's mean loss (regularisation included in the gradient, not in the losses reported) at `params`. May throw: the job then fails
  /// with what() as its words.
  [[nodiscard]] virtual Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) = 0;
  /// Whether update() takes views with more keys than the batch's (sorted, distinct), and writes zeros to their rows.
  [[nodiscard]] virtual bool takes_more_rows() const { return false; }
  /// The same for every batch of a job. Models that do not give gradients take no optimizer from the run file: theirs is `add`.
  [[nodiscard]] virtual UpdateKind update_kind() const { return UpdateKind::kGradient; }
  /// How many passes over the training data the run file's `epochs` means for a model with phases; 0: it has none, and epochs are epochs. After each pass, once
  /// all of its rows are committed and before the next one begins, one slot calls finish_phase() and the servers apply what it wrote as one change. Only models
  /// that give no gradients may have phases.
  [[nodiscard]] virtual std::uint32_t phases(std::uint32_t /*epochs*/) const { return 0; }
  /// The end of pass `phase` (from 0). `tables`: all of the model's tables, whole (a model with phases has dense tables only). `out`: what is to be added to
  /// each; contents undefined before; every float must be written. May be called again at the same values, after a slot that was at it died. May throw.
  [[nodiscard]] virtual PhaseEnd finish_phase(std::span<const TableView> /*tables*/, std::uint32_t /*phase*/, std::span<const TableUpdate> /*out*/) {
    return {};
  }
  /// What the model says of each row at `params`, labels not looked at: rows × as many outputs as it has, row-major, in its own memory until the next call. One
  /// output: the prediction itself where labels are targets, else class 1 where it is above 0. More: the class of the largest (the first one of equals).
  [[nodiscard]] virtual std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) = 0;
  /// Whether outputs() speak of the data's labels. Else the largest one's number is the answer, from 0: a cluster, a topic.
  [[nodiscard]] virtual bool predicts_labels() const { return true; }
  /// Held-out scores at `params`.
  [[nodiscard]] virtual Scores evaluate(std::span<const TableView> params, const Batch& batch) = 0;
  /// What metric_sum sums, e.g. "accuracy".
  [[nodiscard]] virtual std::string metric() const { return "accuracy"; }
  /// Memory for what goes in, dense tables' values and dense rows, where the model has a place that it reads without a copy: `floats` of them, aligned to 64
  /// bytes, until the model is destroyed. Views and batches may lie anywhere in it, or elsewhere. Asked for once, before the first batch. Empty: it has none.
  /// Does not throw.
  [[nodiscard]] virtual std::span<float> input_memory(std::uint64_t /*floats*/) { return {}; }
  /// A memory file in which update() writes without a copy, where the model has one: large enough for a few memories of `bytes` and kUpdateMargin behind
  /// each, which is the model's while it writes. Updates may be written elsewhere too. Asked for once, before the first batch. Without a mapping: it has none.
  /// May throw.
  [[nodiscard]] virtual net::MemoryFile update_memory(std::size_t /*bytes*/) { return {}; }
  static constexpr std::size_t kUpdateMargin = 64;
};

/// params: the job's JSON object. Errors: kBadConfig naming the parameter (unknown keys name the nearest known one), or that the data's shape does not fit.
using MakeModel = std::function<Result<std::unique_ptr<Model>>(const std::string& params, const DataShape& shape)>;
using ModelRegistry = Registry<MakeModel>;

/// All built-in models: linear and ridge (targets), mf (targets of pairs), softmax, logistic, svm, svm-poly and fm (classes), each on dense or sparse rows; mlp
/// (classes, dense rows); gbt (classes or targets); kmeans and lda (any labels, not looked at; lda: sparse rows).
[[nodiscard]] ModelRegistry builtin_models();
/// What a job can't be, in words for its user, or empty. A model that gives no gradients: its optimizer is `add` without numbers (the one that a job has where
/// none is named will do), and it takes no local steps. One that does: with local steps all its tables are parameters.
[[nodiscard]] std::string update_problem(const Model& model, const proto::JobSpec& job);
/// The update kind of a model that check_model() accepts; so below.
[[nodiscard]] UpdateKind update_kind_of(const ModelRegistry& models, const std::string& name, const std::string& params);
/// What it is scored by, where a job does not say (Model::metric()).
[[nodiscard]] std::string metric_of(const ModelRegistry& models, const std::string& name, const std::string& params);
/// Checks a job's model name and params without data (for `submit` and `run` before anything starts), for data with these labels, or with any. Errors as
/// MakeModel.
[[nodiscard]] Result<void> check_model(const ModelRegistry& models, const std::string& name, const std::string& params,
                                       std::optional<proto::LabelKind> labels = std::nullopt);

}  // namespace sluice::worker
