#pragma once
/// For tests of the worker's side: slot processes made of the test program itself (its main() in fake_host_test.cc), and batches for them.

#include <string>
#include <vector>

#include "worker/plugin/slot_process.h"
#include "worker/plugin/trial.h"

namespace sluice::worker::fixtures {

/// Of a plug-in that the build made for tests (cmake/test_plugins.cmake).
[[nodiscard]] std::string test_plugin(const std::string& name);
/// A slot process as a worker starts it. The default options do it too, as the test program is its own host.
[[nodiscard]] std::unique_ptr<plugin::SlotProcess> honest_process(Duration call_limit = from_ms(20'000));
/// One whose replies are lies of this kind: see fake_host_test.cc.
[[nodiscard]] std::unique_ptr<plugin::SlotProcess> lying_process(const std::string& lie);
/// Blocks for a moment, at most 10 s in all, until it holds. Whether it does.
[[nodiscard]] bool comes_to_hold(const std::function<bool()>& holds);
/// Slot processes that this process has started and that have not been buried.
[[nodiscard]] std::vector<pid_t> children();

}  // namespace sluice::worker::fixtures
