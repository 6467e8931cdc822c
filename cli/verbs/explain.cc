#include "cli/explain.h"

#include <fmt/format.h>

#include "cli/detail/client.h"
#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
struct ExplainFlags {
  detail::ManagerFlags manager;
  std::string job;
  std::string out;
  bool json = false;
  bool prior = false;
};

Result<nlohmann::json> ask(const ExplainFlags& flags) {
  if (flags.prior && (!flags.out.empty() || !flags.job.empty()))
    return fail(Errc::kBadConfig, "--prior is what past jobs taught a running manager: give it no job and no --out");
  if (!flags.out.empty()) return explain_offline(flags.out, flags.job);
  if (auto allowed = flags.manager.check(); !allowed) {
    if (flags.manager.address.empty()) allowed.error().what += "; --out DIR explains a run that has ended";
    return tl::unexpected(allowed.error());
  }
  SystemClock clock;
  net::ZmqTransport transport(clock);
  nlohmann::json arguments = nlohmann::json::object();
  if (!flags.job.empty()) arguments["job"] = flags.job;
  if (flags.prior) arguments["prior"] = true;
  return detail::ManagerClient(transport, clock, flags.manager.address).call("explain", arguments);
}
}  // namespace

void add_explain(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("explain", "Says why each job has what it has: every change of its slots, with the reason and the evidence");
  auto flags = std::make_shared<ExplainFlags>();
  verb->add_option("JOB", flags->job, "Only this job (default: all)");
  flags->manager.add_to(*verb);
  verb->add_option("--out", flags->out, "Read the decisions of a run that has ended from its output folder");
  verb->add_flag("--prior", flags->prior, "What past jobs taught, by model: how much of a loss is left at which share of the steps");
  verb->add_flag("--json", flags->json, "Print JSON");
  verb->footer("Example:\n  sluice explain mlp-3 --out out/A\n\nOf a running job also: what its next slot is worth, who holds it, and what would change that.");
  verb->callback([flags, &status] {
    const auto answer = ask(*flags);
    if (!answer) {
      status = detail::report(answer.error(), flags->json);
      return;
    }
    const auto printed = detail::print(flags->json ? answer->dump() + "\n" : flags->prior ? prior_text(*answer) : explain_text(*answer));
    status = printed ? 0 : detail::report(printed.error(), flags->json);
  });
}

}  // namespace sluice::cli
