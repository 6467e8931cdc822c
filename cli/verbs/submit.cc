#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/detail/manager_flags.h"
#include "cli/detail/print.h"
#include "cli/detail/progress.h"
#include "cli/detail/run_flags.h"
#include "cli/detail/submissions.h"
#include "cli/detail/summary.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
using detail::Json;

/// The entries of `document`'s jobs that were submitted here; others may have had their names before.
Json only(const Json& document, const detail::Submissions& submissions) {
  std::set<double> ids;
  for (const auto& job : detail::list(submissions.answer(), "jobs")) ids.insert(detail::number(job, "id"));
  Json out = document;
  out["jobs"] = Json::array();
  for (const auto& job : detail::list(document, "jobs")) {
    if (ids.contains(detail::number(job, "id"))) out["jobs"].push_back(job);
  }
  return out;
}

/// Submits each job at its time. Errors: kInterrupted (what was submitted goes on), a job that is refused, a manager that doesn't answer.
Result<void> send_all(detail::Submissions& submissions, Clock& clock, detail::Signals& signals) {
  for (;;) {
    if (auto sent = submissions.send_due(); !sent) return sent;
    if (submissions.left() == 0) return {};
    if (signals.wait(submissions.next() - clock.now()) == detail::Event::kStop)
      return fail(Errc::kInterrupted, fmt::format("interrupted; {}, which go on (sluice ps shows them)", submissions.words()));
  }
}

/// Until all of the jobs are submitted and over. Errors: as send_all().
Result<void> wait_for(detail::ManagerClient& manager, detail::Submissions& submissions, Clock& clock, detail::Signals& signals) {
  detail::Progress progress(detail::stderr_is_terminal(), clock);
  Instant heard = clock.now();
  for (;;) {
    if (auto sent = submissions.send_due(); !sent) return sent;
    const auto ps = manager.call("ps", Json::object(), from_ms(1000));
    if (ps) {
      heard = clock.now();
      const Json mine = only(*ps, submissions);
      progress.show(mine, {});
      const auto& jobs = detail::list(mine, "jobs");
      if (submissions.left() == 0 && std::all_of(jobs.begin(), jobs.end(), [](const Json& job) { return detail::is_over(detail::text(job, "state")); }))
        return {};
    } else if (clock.now() - heard > from_ms(10'000)) {
      return tl::unexpected(ps.error());
    }
    if (signals.wait(std::min(from_ms(500), submissions.next() - clock.now())) == detail::Event::kStop)
      return fail(Errc::kInterrupted, fmt::format("interrupted; {}, which go on (sluice ps shows them)", submissions.words()));
  }
}

Result<void> submit(const detail::RunFlags& flags, const std::string& address, bool wait) {
  const auto file = detail::read_with_flags(flags);
  if (!file) return tl::unexpected(file.error());
  detail::Signals signals;
  SystemClock clock;
  net::ZmqTransport transport(clock);
  detail::ManagerClient manager(transport, clock, address);
  if (const auto there = manager.call("ps", Json::object(), from_ms(3000)); !there) return tl::unexpected(there.error());
  detail::Submissions submissions(file->jobs, manager, clock, from_ms(10'000));  // a thousand jobs are stored, one by one
  if (!wait) {
    if (auto sent = send_all(submissions, clock, signals); !sent) return sent;
    return detail::print(flags.json ? submissions.answer().dump() + "\n" : submissions.words() + "\n");
  }
  if (auto ended = wait_for(manager, submissions, clock, signals); !ended) return ended;
  const auto summary = manager.call("summary");
  if (!summary) return tl::unexpected(summary.error());
  const Json mine = only(*summary, submissions);
  const std::size_t sent = detail::list(submissions.answer(), "jobs").size(), known = detail::list(mine, "jobs").size();
  if (known < sent)
    detail::note(
        fmt::format("warning: how {} of these jobs ended the manager has forgotten; what follows is without them (sluice manager --keep-ended)", sent - known));
  if (auto printed = detail::print(flags.json ? mine.dump() + "\n" : detail::summary_table(mine)); !printed) return printed;
  if (auto verdict = detail::verdict(mine); !verdict || known == sent) return verdict;
  return fail(Errc::kPartlyDone, "nobody knows how the others ended");
}
}  // namespace

void add_submit(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("submit", "Submits the jobs of a run file to a running cluster");
  struct Flags {
    detail::RunFlags run;
    detail::ManagerFlags manager;
    bool wait = false;
  };
  auto flags = std::make_shared<Flags>();
  flags->run.add_to(*verb, /*cluster=*/false);
  flags->manager.add_to(*verb);
  verb->add_flag("--wait", flags->wait, "Wait until the jobs are over; the status then says whether all went well");
  verb->footer("Example:\n  sluice submit examples/two-jobs.yaml --wait --manager tcp://127.0.0.1:7070 --insecure-tcp");
  verb->callback([flags, &status] {
    auto done = flags->manager.check();
    if (done) done = submit(flags->run, flags->manager.address, flags->wait);
    status = done ? 0 : detail::report(done.error(), flags->run.json);
  });
}

}  // namespace sluice::cli
