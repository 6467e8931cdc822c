#include "cli/logs.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/detail/folders.h"
#include "cli/detail/print.h"
#include "cli/detail/signals.h"
#include "cli/verbs/verbs.h"

namespace sluice::cli {
namespace {
constexpr Duration kLookAgain = from_ms(200);

struct LogFlags {
  std::vector<std::string> roles;
  std::string out;
  std::string dir;
  std::string level = "debug";
  std::int64_t last = -1;
  bool follow = false;
  bool json = false;
};

/// Whoever read stdout has left: nobody would see another line.
bool reader_left() {
  pollfd out{STDOUT_FILENO, 0, 0};
  return ::poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

Result<void> show(const std::vector<LogRecord>& records, std::size_t from, bool json) {
  std::string lines;
  for (std::size_t i = from; i < records.size(); ++i) lines += json ? to_json(records[i]) + "\n" : records[i].text;
  return lines.empty() ? Result<void>{} : detail::print(text::printable(lines));
}

Result<void> logs_verb(const LogFlags& flags) {
  const auto level = level_from(flags.level);
  if (!level) return tl::unexpected(level.error());
  const std::string folder = (!flags.out.empty() ? flags.out : !flags.dir.empty() ? flags.dir : detail::state_folder()) + "/logs";
  auto files = log_files(folder, flags.roles);
  if (!files) return tl::unexpected(files.error());
  const auto records = next_records(*files, *level);
  const bool cut = flags.last >= 0 && records.size() > static_cast<std::size_t>(flags.last);
  if (auto shown = show(records, cut ? records.size() - static_cast<std::size_t>(flags.last) : 0, flags.json); !shown || !flags.follow) return shown;
  detail::Signals signals;
  while (!reader_left()) {
    if (signals.wait(kLookAgain) == detail::Event::kStop) return fail(Errc::kInterrupted, {});
    if (auto shown = show(next_records(*files, *level), 0, flags.json); !shown) return shown;
  }
  return {};
}
}  // namespace

void add_logs(CLI::App& app, int& status) {
  auto* verb = app.add_subcommand("logs", "Prints what the roles said: of a run's output folder, or of the cluster that sluice up started");
  auto flags = std::make_shared<LogFlags>();
  verb->add_option("ROLE", flags->roles, "manager, server-1, worker, …; server: all servers (default: all roles, by time)");
  verb->add_option("--out", flags->out, "Output folder of a run (default: the folder of the cluster that sluice up started)");
  verb->add_option("--dir", flags->dir, "Folder that sluice up was given");
  verb->add_flag("-f,--follow", flags->follow, "Go on printing what is added, until a signal (exit status 130)");
  verb->add_option("--level", flags->level, "Only messages of this level and above: debug, info, warn, error")->capture_default_str();
  verb->add_option("-n", flags->last, "Only the last N messages (0 with --follow: only new ones)")->check(CLI::Range(0, 1'000'000'000));
  verb->add_flag("--json", flags->json, "Print one JSON object a message");
  verb->footer("Example:\n  sluice logs worker --out out/A --level warn -n 20");
  verb->callback([flags, &status] {
    const auto done = logs_verb(*flags);
    status = done ? 0 : done.error().what.empty() ? exit_code(done.error().code) : detail::report(done.error(), flags->json);
  });
}

}  // namespace sluice::cli
