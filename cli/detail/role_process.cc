#include "cli/detail/role_process.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "cli/detail/folders.h"
#include "cli/detail/print.h"
#include "cli/detail/signals.h"
#include "net/zmq_transport.h"

namespace sluice::cli::detail {
namespace {

/// The first fatal error of the role's threads.
struct Fatal {
  std::mutex mutex;
  std::optional<Error> error;
  bool ended = false;
};

struct Outcome {
  int status = 0;
  bool orderly = true;
};

/// Waits for the role's end, and asks for it when a signal, a fatal error or the parent's death says so.
Outcome wait_for_end(const RoleOptions& options, Signals& signals, Clock& clock, ThreadExecutor& executor, Fatal& fatal) {
  Instant deadline = Instant::never();
  Outcome out;
  for (;;) {
    const Duration longest = deadline == Instant::never() ? from_ms(60'000) : deadline - clock.now();
    if (longest.ns <= 0) return {out.status, false};
    const Event event = signals.wait(longest);
    {
      const std::lock_guard lock(fatal.mutex);
      if (fatal.error && out.status == 0) {
        out.status = exit_code(fatal.error->code);
        log::error("{}", fatal.error->what);
      }
      if (fatal.ended) return out;
    }
    const bool asked = event == Event::kStop || event == Event::kParentGone;
    if (asked && deadline != Instant::never()) return {out.status, false};
    if (asked) log::info("stopping: {}", event == Event::kStop ? signals.last() : "the parent process is gone");
    if ((asked || out.status != 0) && deadline == Instant::never()) {
      executor.stop();
      deadline = clock.now() + options.patience;
    }
  }
}

void remove_if_orphan(const RoleOptions& options) {
  if (options.socket_folder.empty() || options.parent == 0 || ::getppid() == options.parent) return;
  std::error_code ignored;
  std::filesystem::remove_all(options.socket_folder, ignored);
}
}  // namespace

int run_role(const RoleOptions& options, const std::function<Result<void>(net::Runtime, std::function<void(const Error&)>)>& start) {
  Signals signals;
  if (options.parent != 0) signals.follow_parent(options.parent);
  if (signals.parent_gone()) return exit_code(Errc::kInterrupted);
  log::configure({.role = options.role, .file = {}, .level = log::Level::kInfo, .json = options.json_log});
  if (!options.socket_folder.empty()) {
    if (const auto made = make_private(options.socket_folder); !made) {
      log::error("{}", made.error().what);
      return exit_code(made.error().code);
    }
  }
  SystemClock clock;
  Fatal fatal;
  Outcome outcome;
  {
    net::ZmqTransport transport(clock);
    ThreadExecutor executor;
    const auto on_fatal = [&](const Error& error) {
      const std::lock_guard lock(fatal.mutex);
      if (!fatal.error) fatal.error = error;
      signals.wake();
    };
    const auto started = start(net::Runtime{clock, transport, executor, entropy_seed()}, on_fatal);
    if (!started) {
      log::error("{}", started.error().what);
      executor.stop();
      outcome.status = exit_code(started.error().code);
    } else {
      ThreadExecutor watcher;
      watcher.run("ended", [&] {
        executor.join();
        const std::lock_guard lock(fatal.mutex);
        fatal.ended = true;
        signals.wake();
      });
      outcome = wait_for_end(options, signals, clock, executor, fatal);
      if (!outcome.orderly) {
        log::warn("not all threads ended in time; ending hard");
        remove_if_orphan(options);
        ::_exit(outcome.status);
      }
    }
  }
  remove_if_orphan(options);
  return outcome.status;
}

Result<void> check_addresses(const std::vector<std::string>& addresses, bool insecure_tcp, const std::function<void(const std::string&)>& warn) {
  for (const auto& address : addresses) {
    if (!address.starts_with("tcp://")) continue;
    if (!insecure_tcp) {
      return fail(Errc::kDenied,
                  fmt::format("{}: TCP has no keys in this version, so anybody who reaches the port could take part; use an ipc:// address, or say "
                              "--insecure-tcp on a network you trust",
                              address));
    }
    warn(fmt::format("{}: TCP without keys (--insecure-tcp): anybody who reaches the port can take part", address));
    return {};
  }
  return {};
}

Result<void> check_role_addresses(const std::vector<std::string>& addresses, bool insecure_tcp) {
  return check_addresses(addresses, insecure_tcp, [](const std::string& words) { log::warn("{}", words); });
}

Result<void> check_client_address(const std::string& address, bool insecure_tcp) {
  return check_addresses({address}, insecure_tcp, [](const std::string& words) { note("warning: " + words); });
}

}  // namespace sluice::cli::detail
