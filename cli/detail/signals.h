#pragma once
/// Signals as events, and a parent's death as one of them. Handlers write into a pipe (a blocked mask and a signalfd would not do: OpenBLAS starts threads when
/// the binary is loaded, before anybody can block anything in them).

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"

namespace sluice::cli::detail {

enum class Event {
  kTimeout,
  kStop,        ///< SIGINT, SIGTERM or SIGHUP (unless it was ignored from the start, as under nohup)
  kParentGone,  ///< the process that was the parent when follow_parent() was called has ended
  kChild,       ///< SIGCHLD: some child may have ended
  kWoken,       ///< wake() was called
};

class Signals {
 public:
  /// Installs the handlers, ignores SIGPIPE. One object at a time in a process; its end leaves the signals to their defaults.
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// From now on the end of `parent` is an event, also if it has ended already.
  void follow_parent(pid_t parent);
  /// True once the followed parent is gone.
  [[nodiscard]] bool parent_gone() const;
  /// The next event, or kTimeout after `longest`. Main thread.
  [[nodiscard]] Event wait(Duration longest);
  /// Makes a wait() return kWoken. Any thread.
  void wake() const;
  /// Name of the signal behind the last kStop ("SIGINT").
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  int pipe_[2] = {-1, -1};  ///< a byte an event: the signal's number, or 0 for wake()
  pid_t parent_ = 0;
  bool gone_reported_ = false;
  std::string last_;
};

}  // namespace sluice::cli::detail
