#pragma once
/// Local steps: a slot takes several batches on its own copy of the parameters, and what changed is pushed once (McMahan et al., AISTATS 2017,
/// FederatedAveraging, where changes are averaged; Li et al., OSDI 2014, where they are added). With plain sgd, or with adagrad, whose sums of squares are
/// copied and pushed like the values: docs/adr/0015. One slot thread.

#include <cstdint>
#include <span>
#include <vector>

#include "proto/job_spec.h"
#include "worker/model.h"

namespace sluice::worker {

/// The numbers of an optimizer where a job gives none: the servers' defaults.
inline constexpr double kLocalRate = 0.1, kLocalEpsilon = 1e-8;

/// Scales the whole update down to a Euclidean norm of `most` (Pascanu et al., ICML 2013, algorithm 1). A norm that is not finite is left as it is, to be
/// refused where updates are checked.
void clip(std::span<const TableUpdate> update, double most);

/// One table as a slot begins its steps with it, and where the change of every float goes; with state twice as many floats of each: sparse: each row's state
/// behind its values; dense: in spans of its own.
struct LocalTable {
  std::span<const Key> keys;  ///< sparse: sorted, distinct; else empty
  std::span<const float> values;
  std::span<const float> state;  ///< dense tables, with state
  std::span<float> change;
  std::span<float> state_change;
};

class LocalSteps {
 public:
  /// From the job: batch, and the optimizer's name (sgd or adagrad) and numbers.
  explicit LocalSteps(const proto::JobSpec& spec);
  /// Whether a float of state goes with each value.
  [[nodiscard]] bool has_state() const { return adagrad_; }

  /// Trains on `rows` batch by batch, in order, beginning with what `tables` hold, and writes the changes. sgd: w ← w − lr × (g + weight_decay × w), a sparse
  /// row with each batch that needs it; adagrad: s ← s + g², w ← w − lr × g / (√s + epsilon). Returns the losses of all examples, each at the parameters that
  /// it met. What the model throws comes through.
  [[nodiscard]] Losses run(Model& model, std::span<const LocalTable> tables, const Batch& rows);

 private:
  /// The slot's copy of a table, and what one batch needs of it.
  struct Part {
    std::size_t width = 0;              ///< floats of a row; dense: of the table
    std::vector<float> values, state;   ///< the copy
    std::vector<Key> keys;              ///< of one batch
    std::vector<std::size_t> at;        ///< rows of the copy
    std::vector<float> some, gradient;  ///< their values
  };
  [[nodiscard]] Batch slice(const Batch& rows, std::uint32_t first, std::uint32_t n);
  void copy(std::span<const LocalTable> tables);
  [[nodiscard]] bool takes_whole(const Model& model, std::span<const LocalTable> tables, const Batch& batch) const;
  void show_whole(std::span<const LocalTable> tables);
  void gather(std::span<const LocalTable> tables, const Model& model, const Batch& batch);
  void step(std::span<const LocalTable> tables, bool whole);
  void step(Part& part, std::size_t first, const float* gradient, std::size_t n) const;
  void write_changes(std::span<const LocalTable> tables) const;

  std::uint32_t batch_;
  bool adagrad_;
  double rate_, weight_decay_, epsilon_, clip_;
  std::uint64_t run_ = 0;  ///< its number, of all in this process
  std::vector<Part> parts_;
  std::vector<std::vector<Key>> keys_;
  std::vector<TableView> views_;
  std::vector<TableUpdate> targets_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace sluice::worker
