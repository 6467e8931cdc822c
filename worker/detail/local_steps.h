#pragma once
/// Local steps: a slot takes several batches on its own copy of the parameters, with plain sgd, and what changed is pushed once (McMahan et al., AISTATS 2017,
/// FederatedAveraging, where changes are averaged; Li et al., OSDI 2014, where they are added). One slot thread.

#include <cstdint>
#include <span>
#include <vector>

#include "proto/job_spec.h"
#include "worker/model.h"

namespace sluice::worker {

/// The first value of sgd's `lr` where a job gives none: the servers' default.
inline constexpr double kSgdRate = 0.1;

/// Scales the whole update down to a Euclidean norm of `most` (Pascanu et al., ICML 2013, algorithm 1). A norm that is not finite is left as it is, to be
/// refused where updates are checked.
void clip(std::span<const TableUpdate> update, double most);

class LocalSteps {
 public:
  /// From the job: batch, and the optimizer's lr, weight_decay and clip.
  explicit LocalSteps(const proto::JobSpec& spec);

  /// Trains on `rows` batch by batch, in order, beginning with `start`: w ← w − lr × (g + weight_decay × w) (a sparse row with each batch that needs it), and
  /// writes the change of every float to `delta` (same shapes as `start`). Returns the losses of all examples, each at the parameters that it met. What the
  /// model throws comes through.
  [[nodiscard]] Losses run(Model& model, std::span<const TableView> start, const Batch& rows, std::span<const TableUpdate> delta);

 private:
  /// What one batch needs of a sparse table.
  struct Part {
    std::vector<std::size_t> at;  ///< row of the whole
    std::vector<float> values;
    std::vector<float> gradient;
  };
  [[nodiscard]] Batch slice(const Batch& rows, std::uint32_t first, std::uint32_t n);
  void gather(std::span<const TableView> start);
  void step(std::span<const TableView> start);

  std::uint32_t batch_;
  double rate_, weight_decay_, clip_;
  std::vector<std::vector<float>> values_;  ///< the copy, by table
  std::vector<std::vector<Key>> keys_;      ///< of one batch
  std::vector<Part> parts_;
  std::vector<TableView> views_;
  std::vector<TableUpdate> targets_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace sluice::worker
