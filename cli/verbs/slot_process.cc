#include "cli/verbs/verbs.h"
#include "worker/plugin/host.h"

namespace sluice::cli {

void add_slot_process(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("slot-process", "Runs one plug-in for the worker that starts it; not for people");
  verb->group("");  // not in the list of verbs
  auto parent = std::make_shared<int>(0);
  verb->add_option("--parent", *parent, "Process id of the worker")->required();
  verb->footer("Example:\n  sluice slot-process --parent 1234   # started by a worker, with its memory as descriptors");
  verb->callback([parent, &status] { status = worker::plugin::serve_slot(*parent); });
}

}  // namespace sluice::cli
