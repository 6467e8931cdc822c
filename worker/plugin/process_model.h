#pragma once
/// A plug-in's model in a slot process, as a Model: what its functions throw is the model's failure in words, with what became of the process.

#include <memory>
#include <string>

#include "worker/model.h"
#include "worker/plugin/slot_process.h"

namespace sluice::worker::plugin {

/// What a plug-in says of itself.
struct PluginFacts {
  std::string name, version;
  std::uint64_t digest = 0;
};

/// Loads the plug-in at `path`. `digest`: of the file that is meant; 0: any. Errors: kNotFound, kBadConfig, kJobFailed (it died of it). Throws CallInterrupted.
[[nodiscard]] Result<PluginFacts> open_plugin(SlotProcess& process, const std::string& path, std::uint64_t digest, const Interrupt& interrupt = {});
/// A model of the plug-in that is loaded. `name`: for words. Errors: kBadConfig (params or data that it does not take), kJobFailed. Throws CallInterrupted.
[[nodiscard]] Result<std::unique_ptr<Model>> make_process_model(std::unique_ptr<SlotProcess> process, const std::string& name, const std::string& params,
                                                                const DataShape& shape, Interrupt interrupt = {});
/// Whether it can be made, and what its updates are then; the process stays. Errors: as make_process_model().
[[nodiscard]] Result<UpdateKind> try_model(SlotProcess& process, const std::string& name, const std::string& params, const DataShape& shape);
/// check.h's report. Errors: kJobFailed.
[[nodiscard]] Result<std::string> check_plugin(SlotProcess& process, const std::string& params);

}  // namespace sluice::worker::plugin
