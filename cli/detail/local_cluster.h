#pragma once
/// The cluster that `sluice up` starts on this machine, as it is written down in DIR/cluster.json, and the lock under which `up` and `down` change it.

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/detail/embedded.h"
#include "cli/detail/processes.h"

namespace sluice::cli::detail {

struct LocalRole {
  std::string role;  ///< "manager", "server-1", "worker"
  ProcessId process;
};

struct LocalCluster {
  EmbeddedOptions options;  ///< out: the cluster's folder
  std::string sockets;      ///< the folder of its sockets
  std::vector<LocalRole> roles;

  [[nodiscard]] std::string manager() const { return manager_address(sockets); }
  /// Those of its roles whose processes run.
  [[nodiscard]] std::vector<LocalRole> alive() const;
  /// Processes with its sockets that are not written down (their `up` was killed before it could).
  [[nodiscard]] std::vector<ProcessId> strays() const;
};

/// The cluster of that folder; nothing if none was started, or it was ended. Errors: kIo, kBadData (not a file of ours; says what to do), kDenied (the
/// default folder below /tmp belongs to another user).
[[nodiscard]] Result<std::optional<LocalCluster>> read_local_cluster(const std::string& dir);
/// Replaces the file at once. Errors: kIo.
[[nodiscard]] Result<void> write_local_cluster(const LocalCluster& cluster);
/// It is no more: removes its sockets and its file. What it did (decisions, losses, logs, the job table) stays.
void forget_local_cluster(const LocalCluster& cluster);

/// The address of the manager of the cluster in `dir` (empty: the default folder). Errors: kBadConfig (none was started there: says how to name one),
/// kCannotConnect (its manager's process is gone: says what to do), as read_local_cluster().
[[nodiscard]] Result<std::string> local_manager(const std::string& dir);

/// Held while `up` or `down` changes the cluster of a folder; the kernel lets go of it when the process ends, however it ends.
class ClusterLock {
 public:
  ClusterLock() = default;
  ~ClusterLock();
  ClusterLock(const ClusterLock&) = delete;
  ClusterLock& operator=(const ClusterLock&) = delete;
  /// REQUIRES: the folder is there. Errors: kCannotConnect (another has it), kIo.
  [[nodiscard]] Result<void> take(const std::string& dir);

 private:
  int fd_ = -1;
};

}  // namespace sluice::cli::detail
