#pragma once
/// The manager role: membership, slot table, job table, rounds, grants, the decision log. Carries no parameters and no gradients.

#include <functional>
#include <string>

#include "base/result.h"
#include "manager/cluster_view.h"
#include "manager/policy.h"
#include "net/runtime.h"

namespace sluice::manager {

struct ManagerOptions {
  std::string listen;         ///< "tcp://host:port", "ipc:///path" or "inproc://name"
  std::string state_dir;      ///< holds state.db; created if missing; one manager a folder (a lock says so)
  std::string out_dir;        ///< decisions.jsonl, losses.csv, validations.csv, summary.json; empty: state_dir
  std::uint32_t servers = 1;  ///< the slot table is made once this many have registered
  std::string policy{kDefaultPolicy};
  std::uint32_t round_ms = 500;
  Fairness fairness = {};  ///< how much waiting counts, under policies that weigh it
  std::uint32_t heartbeat_ms = 200;
  std::uint32_t suspicion_ms = 800;                          ///< a worker not heard for so long is lost; servers: Membership::kServerPatience times that
  std::uint32_t virtual_nodes = 64;                          ///< per server on the ring
  double load_bound = 0.1;                                   ///< ε of bounded loads
  std::uint32_t quantum_ms_min = 500;                        ///< with fewer slots than jobs
  std::uint32_t keep_ended = 1000;                           ///< ended jobs that are known on, the newest; older ones are forgotten
  std::function<void(const std::string& address)> on_ready;  ///< called once when it listens
  std::function<void(const Error&)> on_fatal;
};

/// Errors: kBadConfig (unknown policy: the known names), kCannotConnect (address or state folder taken), kIo.
[[nodiscard]] Result<void> start_manager(const ManagerOptions& options, net::Runtime runtime);

}  // namespace sluice::manager
