#include "cli/detail/manager_flags.h"
#include "cli/detail/orders.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
struct SetFlags {
  detail::ManagerFlags manager;
  std::string job;
  std::vector<std::string> values;
  bool json = false;
};

int set_verb(const SetFlags& flags) {
  const auto values = detail::values_from(flags.values);
  if (!values) return detail::report(values.error(), flags.json);
  return detail::order(flags.manager, "set", {{"job", flags.job}, {"values", *values}}, flags.json);
}
}  // namespace

void add_set(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("set", "Changes a job while it lives: its weight, and the least and most worker slots it may have");
  auto flags = std::make_shared<SetFlags>();
  verb->add_option("JOB", flags->job, "Name of the job, as sluice ps shows it")->required();
  verb->add_option("KEY=VALUE", flags->values, "weight=2, slots.min=1, slots.max=4: any of them, all at once or none")->required();
  flags->manager.add_to(*verb);
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice set mlp-3 weight=2 slots.max=4");
  verb->callback([flags, &status] { status = set_verb(*flags); });
}

}  // namespace sluice::cli
