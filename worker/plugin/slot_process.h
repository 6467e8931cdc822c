#pragma once
/// The worker's side of one slot process: the process, the memory it shares with it, and calls that end: answered, timed out, or with the process's death.

#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/frame_memory.h"
#include "worker/plugin/wire.h"

namespace sluice::worker::plugin {

struct ProcessOptions {
  std::vector<std::string> command = {"/proc/self/exe", "slot-process"};  ///< --parent PID is appended
  std::uint64_t memory_bytes = 0;                                         ///< beside what it shares; 0: half of the host's
  Duration call_limit = from_ms(60'000);                                  ///< processor time of one call; four times that by the clock
};

/// What a call that can be given up asks, every few milliseconds: told how long it has run, true ends it.
using Interrupt = std::function<bool(Duration since)>;

/// A file descriptor and a mapping of it.
class SharedFile {
 public:
  SharedFile() = default;
  ~SharedFile();
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  /// A memory file without bytes. False: the system has none to give.
  [[nodiscard]] bool create(const char* name);
  /// Grows it to at least `bytes` and maps it anew: what was read from data() before is elsewhere now.
  [[nodiscard]] bool grow(std::uint64_t bytes);
  /// Nobody can make it smaller or write to it through another mapping from now on. REQUIRES: it has its size.
  [[nodiscard]] bool seal();
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  int fd_ = -1;
  std::byte* data_ = nullptr;
  std::uint64_t bytes_ = 0;
};

/// One thread, the one that started it: the process ends with that thread.
class SlotProcess {
 public:
  /// Errors: kIo. Returns at once: the process gets ready by itself.
  [[nodiscard]] static Result<std::unique_ptr<SlotProcess>> start(const ProcessOptions& options);
  ~SlotProcess();
  SlotProcess(const SlotProcess&) = delete;
  SlotProcess& operator=(const SlotProcess&) = delete;

  /// Sends the call (its number is filled in) and waits. `work()` has its data already. The reply is a copy. Throws CallInterrupted (worker/model.h) when
  /// `interrupt` said so. Errors, after all of which the process is dead and every call fails: kJobFailed (it died, took too long, sent nonsense), with its
  /// last words.
  [[nodiscard]] Result<Reply> call(Call& call, const Interrupt& interrupt = {});
  /// What calls carry; grown before they are filled in.
  [[nodiscard]] SharedFile& work() { return work_; }
  [[nodiscard]] SharedFile& values() { return values_; }
  /// The file that the process has as kUpdatesFd, without bytes yet; moved from once it is used.
  [[nodiscard]] net::MemoryFile& updates() { return updates_; }
  [[nodiscard]] const ProcessOptions& options() const { return options_; }
  void set_limits(std::uint64_t memory_bytes, Duration call_limit);
  /// It has said that it is ready for its first call. Never blocks.
  [[nodiscard]] bool ready();
  /// Its process has not ended, as far as is known. Never blocks.
  [[nodiscard]] bool alive();
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Whose output the log shows.
  void set_name(std::string name) { name_ = std::move(name); }

 private:
  explicit SlotProcess(const ProcessOptions& options) : options_(options) {}
  [[nodiscard]] Result<void> launch();
  enum class Wake { kReply, kDead, kNothing };
  [[nodiscard]] Wake wait(int ms);
  [[nodiscard]] Result<void> await(const Interrupt& interrupt);
  void read_output();
  void say_lines(bool all);
  [[nodiscard]] Error dead(const std::string& what);
  [[nodiscard]] Error died();

  ProcessOptions options_;
  SystemClock clock_;
  SharedFile work_, values_;
  net::MemoryFile updates_;
  int call_fd_ = -1, reply_fd_ = -1, output_fd_ = -1, pid_fd_ = -1;
  pid_t pid_ = 0;
  bool ready_ = false;
  std::uint64_t calls_ = 0;
  std::string name_ = "plug-in";
  std::string output_;  ///< the last of it
  std::size_t said_ = 0, lines_said_ = 0;
  std::string end_;  ///< why it is dead
};

}  // namespace sluice::worker::plugin
