#pragma once
/// How one thread comes to a job's model: a built-in one, or a plug-in's in a slot process that was started ahead.

#include <atomic>
#include <memory>

#include "proto/job_spec.h"
#include "worker/model.h"
#include "worker/plugin/process_model.h"

namespace sluice::worker::plugin {

/// What the slots of a worker share: whether any of them has had a plug-in's job. Until then nobody keeps a process ready.
using Wanted = std::shared_ptr<std::atomic<bool>>;

/// One thread.
class Runner {
 public:
  explicit Runner(Wanted wanted = {}) : wanted_(std::move(wanted)) {}
  /// Errors: as MakeModel; kJobFailed: it throws, or its process died. Throws CallInterrupted. No other exception.
  [[nodiscard]] Result<std::unique_ptr<Model>> make(const ModelRegistry& models, const proto::JobSpec& spec, const DataShape& shape, Interrupt interrupt = {});
  /// The last make() found a process that was ready, or needed none.
  [[nodiscard]] bool warm() const { return warm_; }
  /// Starts the next process, if one is wanted and none is there: about a millisecond.
  void refill();

 private:
  [[nodiscard]] Result<std::unique_ptr<Model>> make_plugin(const proto::JobSpec& spec, const DataShape& shape, Interrupt interrupt);
  Wanted wanted_;
  std::unique_ptr<SlotProcess> spare_;
  bool warm_ = true;
};

}  // namespace sluice::worker::plugin
