#pragma once
/// Serial training of one model in this process, with plain SGD on its own parameters (a model that gives no gradients: its updates are added up): the
/// yardstick for what servers cost (bench), and the reference that tests compare with. Nothing between the model and its parameters: dense gradients are
/// applied in place; a sparse table's rows are gathered before and scattered after each batch, as the model needs them contiguous.

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "worker/data/dataset.h"
#include "worker/model.h"

namespace sluice::worker {

struct LocalOptions {
  std::uint32_t batch = 128;
  float lr = 0.1F;
  std::uint64_t seed = 1;           ///< first values and the order of rows
  std::uint32_t chunk_rows = 4096;  ///< rows shuffled together, as slots do
  std::uint32_t epochs = 1;         ///< only for a model with phases: what it makes passes of
};

/// One thread. Takes up to features × width floats for a sparse table.
class LocalTrainer {
 public:
  /// `model` is not null and was made for the shape of `data`.
  LocalTrainer(std::unique_ptr<Model> model, std::shared_ptr<const Dataset> data, const LocalOptions& options);
  ~LocalTrainer();
  LocalTrainer(const LocalTrainer&) = delete;
  LocalTrainer& operator=(const LocalTrainer&) = delete;

  /// Trains on the next `batches` batches (chunk after chunk, then the next epoch; a chunk's last batch may be smaller) and appends each batch's mean loss to
  /// `losses` if not null. Returns the examples trained on. A model with phases ends each pass, and takes no batch after its last. What the model throws comes
  /// through.
  std::uint64_t train(std::uint64_t batches, std::vector<double>* losses = nullptr);
  /// Of a model with phases: whether its last pass has ended, and why.
  [[nodiscard]] const PhaseEnd& ended() const;
  /// Passes ended.
  [[nodiscard]] std::uint32_t phases() const;
  /// Batches in one epoch.
  [[nodiscard]] std::uint64_t epoch_batches() const;
  /// Scores at the present parameters, on all rows of `data` (of the same shape as the training data but for the rows).
  [[nodiscard]] Scores evaluate(const std::shared_ptr<const Dataset>& data);
  /// A dense table's values, or a sparse table's rows of all features.
  [[nodiscard]] std::vector<float>& values(std::size_t table);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// First values of a table's element: counter-based, so that any part can be made alone.
[[nodiscard]] float first_value(const proto::InitSpec& init, std::uint64_t seed, std::uint64_t table, std::uint64_t element);
/// Those of whole tables; a sparse one's are all of its rows.
[[nodiscard]] std::vector<std::vector<float>> first_values(std::span<const TableDecl> tables, std::uint64_t seed);

}  // namespace sluice::worker
