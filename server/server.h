#pragma once
/// The server role: lanes that hold shards and job homes, and a control actor that is a member of the cluster. Loads no user code, reads no training data,
/// decides nothing about resources.

#include <functional>
#include <string>

#include "base/result.h"
#include "net/runtime.h"

namespace sluice::server {

struct ServerOptions {
  std::string name;                ///< text::valid_name, unique in the cluster
  std::string manager;             ///< the manager's address
  std::string listen;              ///< lane address pattern: "tcp://host:*", "ipc:///dir/NAME-{}.sock" or "inproc://NAME-{}"; "{}" becomes the lane's number
  std::uint32_t lanes = 1;         ///< 1 … 256: threads that own shards
  std::uint32_t report_ms = 250;   ///< how often loss reports go out while something changed
  std::uint64_t memory_bytes = 0;  ///< for the tables of all jobs, as declared; 0: three quarters of the host's memory
  std::string models;              ///< folder, made if missing: a finished job's values go into its folder there; empty: nowhere
  std::uint32_t manager_patience_ms = 5000;    ///< give up when no manager answered the first registration for that long
  std::function<void(const Error&)> on_fatal;  ///< called once, any thread, when the role can't go on (manager not there, version mismatch); may be empty
};

/// Binds the lanes and starts lane and control actors on runtime.executor. Errors: kCannotConnect (an address is taken). The runtime must outlive them; stop
/// through the executor.
[[nodiscard]] Result<void> start_server(const ServerOptions& options, net::Runtime runtime);

}  // namespace sluice::server
