#pragma once
/// The worker role: a pool of worker slots that train what the manager grants. Holds nothing that would be missed if it died.

#include <functional>
#include <string>

#include "base/result.h"
#include "net/runtime.h"
#include "worker/model.h"

namespace sluice::worker {

struct WorkerOptions {
  std::string name;  ///< text::valid_name, unique in the cluster
  std::string manager;
  std::uint32_t slots = 1;
  std::string cache_dir;                   ///< of data caches
  std::uint32_t call_deadline_ms = 10000;  ///< of pushes, pulls, commits, the slot's own work not counted: then the job is reported as faulted by its own slot
  std::uint32_t retry_ms = 500;            ///< an unanswered request is sent again, identical bytes
  std::uint32_t manager_patience_ms = 5000;
  std::function<void(const Error&)> on_fatal;  ///< as in ServerOptions
};

/// `models` is copied. Errors: kBadConfig. Starts the control actor and one actor a slot.
[[nodiscard]] Result<void> start_worker(const WorkerOptions& options, const ModelRegistry& models, net::Runtime runtime);

}  // namespace sluice::worker
