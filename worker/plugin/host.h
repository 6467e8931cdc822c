#pragma once
/// The inside of a slot process: loads one plug-in and does what its worker asks, one call at a time, until the worker is gone.

#include <sys/types.h>

namespace sluice::worker::plugin {

/// The whole life of the process, on descriptors wire.h names. `parent`: ends when it is no longer the parent. Returns the exit status. Main thread.
[[nodiscard]] int serve_slot(pid_t parent);

}  // namespace sluice::worker::plugin
