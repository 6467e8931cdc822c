#include "cli/detail/signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/assert.h"

namespace sluice::cli::detail {
namespace {
/// Sent by the kernel when the parent's thread that started us ends: not SIGTERM, because a thread's end is not yet the process's, and a real SIGTERM must stay
/// one.
int parent_signal() { return SIGRTMIN; }

bool ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}
}  // namespace

Signals::Signals() {
  sigset_t mask;
  sigemptyset(&mask);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (!ignored(signal)) sigaddset(&mask, signal);
  }
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, parent_signal());
  SLUICE_ASSERT(::pthread_sigmask(SIG_BLOCK, &mask, nullptr) == 0);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  signal_fd_ = ::signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  wake_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  SLUICE_ASSERT(signal_fd_ >= 0 && wake_fd_ >= 0);
}

Signals::~Signals() {
  ::close(signal_fd_);
  ::close(wake_fd_);
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
  pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {wake_fd_, POLLIN, 0}};
  const auto ms = static_cast<int>(std::clamp<std::int64_t>((longest.ns + 999'999) / 1'000'000, 0, 60'000));
  if (::poll(fds, 2, ms) <= 0) return Event::kTimeout;
  if ((fds[0].revents & POLLIN) != 0) {
    signalfd_siginfo info{};
    if (::read(signal_fd_, &info, sizeof info) != sizeof info) return Event::kTimeout;
    const auto signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGCHLD) return Event::kChild;
    if (signal == parent_signal()) {
      if (gone_reported_ || !parent_gone()) return Event::kTimeout;
      gone_reported_ = true;
      return Event::kParentGone;
    }
    last_ = std::string("SIG") + sigabbrev_np(signal);
    return Event::kStop;
  }
  std::uint64_t count = 0;
  return ::read(wake_fd_, &count, sizeof count) == sizeof count ? Event::kWoken : Event::kTimeout;
}

void Signals::wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd_, &one, sizeof one);
}

}  // namespace sluice::cli::detail
