#include "cli/detail/signals.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/assert.h"

namespace sluice::cli::detail {
namespace {
/// Sent by the kernel when the parent's thread that started us ends: not SIGTERM, because a thread's end is not yet the process's, and a real SIGTERM must stay
/// one.
int parent_signal() { return SIGRTMIN; }

std::atomic<int> handler_fd{-1};  // the handler can't be given an object

/// A full pipe loses a byte: whoever reads it has plenty of events to act on.
void write_event(int fd, unsigned char event) {
  const int saved = errno;
  [[maybe_unused]] const auto written = ::write(fd, &event, 1);
  errno = saved;
}
extern "C" void on_signal(int signal) {
  if (const int fd = handler_fd.load(); fd >= 0) write_event(fd, static_cast<unsigned char>(signal));
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}
bool ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}
}  // namespace

Signals::Signals() {
  SLUICE_ASSERT(::pipe2(pipe_, O_CLOEXEC | O_NONBLOCK) == 0 && handler_fd.load() < 0);
  handler_fd = pipe_[1];
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!ignored(signal)) handle(signal, on_signal);
  }
  handle(SIGCHLD, on_signal);
  handle(parent_signal(), on_signal);
  handle(SIGPIPE, SIG_IGN);
}

Signals::~Signals() {
  ::prctl(PR_SET_PDEATHSIG, 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD, parent_signal()}) {
    if (!ignored(signal)) handle(signal, SIG_DFL);
  }
  handler_fd = -1;
  ::close(pipe_[0]);
  ::close(pipe_[1]);
}

void Signals::follow_parent(pid_t parent) {
  parent_ = parent;
  ::prctl(PR_SET_PDEATHSIG, parent_signal());
}

bool Signals::parent_gone() const { return parent_ != 0 && ::getppid() != parent_; }

Event Signals::wait(Duration longest) {
  // The parent may have ended before prctl() was called: no signal tells, so look as well.
  if (!gone_reported_ && parent_gone()) {
    gone_reported_ = true;
    return Event::kParentGone;
  }
  pollfd fd{pipe_[0], POLLIN, 0};
  const auto ms = static_cast<int>(std::clamp<std::int64_t>((longest.ns + 999'999) / 1'000'000, 0, 60'000));
  unsigned char event = 0;
  if (::poll(&fd, 1, ms) <= 0 || ::read(pipe_[0], &event, 1) != 1) return Event::kTimeout;
  if (event == 0) return Event::kWoken;
  if (event == SIGCHLD) return Event::kChild;
  if (event == parent_signal()) {
    if (gone_reported_ || !parent_gone()) return Event::kTimeout;
    gone_reported_ = true;
    return Event::kParentGone;
  }
  last_ = std::string("SIG") + sigabbrev_np(event);
  return Event::kStop;
}

void Signals::wake() const { write_event(pipe_[1], 0); }

}  // namespace sluice::cli::detail
