#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/rng.h"
#include "cli/detail/embedded.h"
#include "cli/detail/models.h"
#include "cli/detail/print.h"
#include "cli/detail/progress.h"
#include "cli/detail/run_flags.h"
#include "cli/detail/submissions.h"
#include "cli/detail/summary.h"
#include "cli/detail/table.h"
#include "cli/report.h"
#include "cli/run_file.h"
#include "cli/verbs/verbs.h"
#include "net/zmq_transport.h"

namespace sluice::cli {
namespace {
using detail::Json;

/// A manager that is gone is known by its process; one that is held up (a paused machine) gets the time that its other children give it (detail/role_flags.h).
constexpr Duration kManagerPatience = from_ms(30'000);
constexpr Duration kKeepPatience = from_ms(60'000);  // for servers to write the models; large ones on a slow disk
constexpr Duration kAnswerDeadline = from_ms(1000), kAnswerDeadlineMax = from_ms(4000), kSubmitDeadline = from_ms(10'000);

/// Until all jobs are submitted and over: shows what happens. Errors: kInterrupted, a role that is lost, a job that is refused, a manager that stopped
/// answering.
Result<void> watch(detail::EmbeddedCluster& cluster, detail::Submissions& submissions, detail::Signals& signals, Clock& clock, const std::string& out) {
  detail::Progress progress(detail::stderr_is_terminal(), clock);
  detail::JsonTail decisions(out + "/decisions.jsonl");
  std::set<std::string> problems_told;
  Instant heard = clock.now();
  Instant over_since = Instant::never();  // servers then write the models
  Duration deadline = kAnswerDeadline;
  for (;;) {
    if (auto sent = submissions.send_due(); !sent) return sent;
    const auto ps = cluster.manager().call("ps", Json::object(), deadline);
    deadline = ps ? kAnswerDeadline : std::min(deadline * 2, kAnswerDeadlineMax);  // a manager that needs longer for every answer is slow, not gone
    if (ps) {
      heard = clock.now();
      progress.show(*ps, decisions.next());
      for (const auto& problem : detail::list(*ps, "problems")) {
        if (problem.is_string() && problems_told.insert(problem.get<std::string>()).second) detail::note("warning: " + problem.get<std::string>());
      }
      const auto& jobs = detail::list(*ps, "jobs");
      const bool over = std::all_of(jobs.begin(), jobs.end(), [](const Json& job) { return detail::is_over(detail::text(job, "state")); });
      over_since = over && submissions.left() == 0 ? std::min(over_since, clock.now()) : Instant::never();
      const bool freed = std::all_of(jobs.begin(), jobs.end(), [](const Json& job) { return job.value("freed", false); });
      if (over_since != Instant::never() && !jobs.empty() && (freed || clock.now() - over_since > kKeepPatience)) return {};
    }
    const Instant next = std::min(clock.now() + from_ms(400), submissions.next());
    do {
      const detail::Event event = signals.wait(next - clock.now());
      if (event == detail::Event::kStop) return fail(Errc::kInterrupted, "interrupted by " + signals.last());
      if (event == detail::Event::kParentGone) return fail(Errc::kInterrupted, "the process that started this run is gone");
      if (auto lost = cluster.lost_role()) return fail(std::move(*lost));
    } while (clock.now() < next);
    if (clock.now() - heard > kManagerPatience)
      return fail(Errc::kTimedOut, fmt::format("the manager has not answered for {:g} s; its log: {}/logs/manager.log", kManagerPatience.seconds(), out));
  }
}

/// Prints the table or the JSON of the summary that the manager left. Errors: kIo when there is none.
Result<void> show_end(const std::string& out, bool json) {
  const auto summary = detail::read_json(out + "/summary.json");
  if (!summary) return fail(Errc::kIo, fmt::format("the manager left no summary ({}); what it left is in {}", summary.error().what, out));
  const auto printed = detail::print(json ? summary->dump() + "\n" : "\n" + detail::summary_table(*summary));
  detail::note(fmt::format("files: {}/ (report.html, summary.json, decisions.jsonl, losses.csv, validations.csv, jobs/, logs/)", out));
  if (!printed) return printed;
  return detail::verdict(*summary);
}

/// report.html: of whatever the run left behind. That it can't be written is no failure of the run.
void write_page(const std::string& out) {
  const std::string path = default_report({out});
  if (const auto written = write_report({out}, path); !written) detail::note(fmt::format("warning: {}", written.error().what));
}

/// run.json: what was asked for, so that runs can be compared and done again. Errors: kIo naming the file.
Result<void> write_plan(const RunFile& file, const detail::EmbeddedOptions& options) {
  const std::string path = options.out + "/run.json";
  std::ofstream out(path);
  out << detail::plan_text(file, options.slots, /*json=*/true);
  out.close();
  if (!out) return fail(Errc::kIo, fmt::format("{}: can't be written: {}", path, std::strerror(errno)));
  return {};
}

Result<void> run_cluster(const RunFile& file, detail::EmbeddedOptions options, bool json) {
  if (auto made = detail::make_out(options.out); !made) return made;
  if (auto written = write_plan(file, options); !written) return written;
  detail::Signals signals;
  detail::follow_starter(signals);
  SystemClock clock;
  net::ZmqTransport transport(clock);
  detail::EmbeddedCluster cluster(options, detail::SocketFolder(entropy_seed()), signals, transport, clock);
  detail::note(fmt::format("{} job{}, {} worker slot{}, {} server{}, policy {}; output in {}", file.jobs.size(), file.jobs.size() == 1 ? "" : "s",
                           options.slots, options.slots == 1 ? "" : "s", options.servers, options.servers == 1 ? "" : "s", options.policy, options.out));
  detail::note(fmt::format("for sluice pause, set, cancel and the like: --manager {}", cluster.manager().address()));
  auto ended = cluster.start();
  if (ended) {
    detail::Submissions submissions(file.jobs, cluster.manager(), clock, kSubmitDeadline);
    ended = watch(cluster, submissions, signals, clock, options.out);
  }
  cluster.stop();
  for (const auto& [job, submit_after] : file.jobs) {
    const std::string folder = options.out + "/jobs/" + job.name;
    if (!std::filesystem::exists(folder)) continue;  // it did not get to its end
    if (const auto joined = detail::join_model(folder); !joined)
      detail::note("warning: the model of job " + job.name + " is not there: " + joined.error().what);
  }
  write_page(options.out);
  const auto shown = ended || ended.error().code == Errc::kInterrupted || ended.error().code == Errc::kJobFailed ? show_end(options.out, json) : Result<void>{};
  return ended ? shown : ended;
}

int run_verb(const detail::RunFlags& flags, const std::string& out_flag, bool dry_run) {
  const auto file = detail::read_with_flags(flags);
  if (!file) return detail::report(file.error(), flags.json);
  const std::uint32_t slots = file->cluster.slots.value_or(detail::cores());
  for (const auto& [job, submit_after] : file->jobs) {
    if (job.slots_min <= slots) continue;
    return detail::report(
        {Errc::kUnplaceable, fmt::format("job '{}' needs {} worker slots (slots: {{min: {}}}), and the cluster has {}; lower its minimum or give --slots",
                                         job.name, job.slots_min, job.slots_min, slots)},
        flags.json);
  }
  if (dry_run) {
    const auto printed = detail::print(detail::plan_text(*file, slots, flags.json));
    return printed ? 0 : detail::report(printed.error(), flags.json);
  }
  const std::string out = out_flag.empty() ? detail::default_out(file->name, SystemClock().wall_ms()) : out_flag;
  const auto ended = run_cluster(*file,
                                 {.servers = file->cluster.servers,
                                  .slots = slots,
                                  .policy = file->policy.name,
                                  .round_ms = file->policy.round_ms,
                                  .out = out,
                                  .stays = false,
                                  .fairness = file->policy.fairness,
                                  .keep_ended = static_cast<std::uint32_t>(file->jobs.size())},  // all of them are in the summary
                                 flags.json);
  return ended ? 0 : detail::report(ended.error(), false);
}
}  // namespace

void add_run(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("run", "Starts a cluster on this machine, runs the file's jobs to the end, and leaves nothing behind but the output folder");
  struct Flags {
    detail::RunFlags run;
    std::string out;
    bool dry_run = false;
  };
  auto flags = std::make_shared<Flags>();
  flags->run.add_to(*verb);
  verb->add_option("--out", flags->out, "Output folder, new or empty (default: out/NAME-DATE-TIME)");
  verb->add_flag("--dry-run", flags->dry_run, "Check everything, print the jobs, start nothing");
  verb->footer("Example:\n  sluice run examples/sweep.yaml --policy fair --slots 2 --set 'jobs.*.epochs=1'");
  verb->callback([flags, &status] { status = run_verb(flags->run, flags->out, flags->dry_run); });
}

}  // namespace sluice::cli
