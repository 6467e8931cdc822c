#include "worker/plugin/slot_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/host.h"
#include "base/log.h"
#include "worker/model.h"
#include "worker/plugin/child_process.h"

namespace sluice::worker::plugin {
namespace {

constexpr int kSliceMs = 20;                  ///< how often a call that is waited for looks at its limits
constexpr std::size_t kOutputMax = 8 * 1024;  ///< of a process's last output, bytes
constexpr std::size_t kWordsMax = 800, kLinesMax = 6;
constexpr std::size_t kLinesSaidMax = 200;  ///< of a process, in the log
constexpr std::uint64_t kPage = 4096;

/// The last lines of what it printed, for an error's words.
std::string last_lines(const std::string& output) {
  std::size_t end = output.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return {};
  ++end;
  std::size_t begin = end;
  for (std::size_t lines = 0; begin > 0 && end - begin < kWordsMax; --begin) {
    if (output[begin - 1] == '\n' && ++lines == kLinesMax) break;
  }
  std::string out;
  for (const char c : output.substr(begin, end - begin)) {
    if (c == '\n')
      out += " | ";
    else
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  return out;
}

}  // namespace

SharedFile::~SharedFile() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
  if (fd_ >= 0) ::close(fd_);
}

bool SharedFile::create(const char* name) {
  fd_ = ::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  // Never smaller: a file cut short under a mapping is a signal to whoever reads it.
  return fd_ >= 0 && ::fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
}

bool SharedFile::grow(std::uint64_t bytes) {
  if (bytes <= bytes_) return true;
  bytes = (std::max(bytes, bytes_ + bytes_ / 2) + kPage - 1) / kPage * kPage;
  // Taken from the system here, where there may be none left, and not by a first write, which would be a signal.
  if (::fallocate(fd_, 0, 0, static_cast<off_t>(bytes)) != 0) return false;
  void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0);
  if (mapped == MAP_FAILED) return false;
  if (data_ != nullptr) ::munmap(data_, bytes_);
  data_ = static_cast<std::byte*>(mapped);
  bytes_ = bytes;
  (void)::madvise(mapped, bytes, MADV_DONTDUMP);
  return true;
}

bool SharedFile::seal() { return ::fcntl(fd_, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0; }

Result<std::unique_ptr<SlotProcess>> SlotProcess::start(const ProcessOptions& options) {
  std::unique_ptr<SlotProcess> out(new SlotProcess(options));
  if (auto launched = out->launch(); !launched) return fail(launched.error());
  return out;
}

Result<void> SlotProcess::launch() {
  if (options_.memory_bytes == 0) options_.memory_bytes = host_memory_bytes() / 2;
  int output[2] = {-1, -1};
  call_fd_ = ::eventfd(0, EFD_CLOEXEC);
  reply_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const bool made = call_fd_ >= 0 && reply_fd_ >= 0 && work_.create("sluice-work") && values_.create("sluice-values") && updates_.create() &&
                    work_.grow(kPageBytes) && ::pipe2(output, O_CLOEXEC) == 0;
  if (!made) return fail(Errc::kIo, fmt::format("a slot process could not be made: {}", std::strerror(errno)));
  output_fd_ = output[0];
  (void)::fcntl(output_fd_, F_SETFL, O_NONBLOCK);
  auto command = options_.command;
  command.insert(command.end(), {"--parent", std::to_string(::getpid())});
  auto pid = start_process(command, {work_.fd(), values_.fd(), call_fd_, reply_fd_, updates_.fd()}, output[1]);
  ::close(output[1]);
  if (!pid) return fail(pid.error());
  pid_ = *pid;
  pid_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));  // glibc 2.36 declares its own for C only
  if (pid_fd_ < 0) return fail(Errc::kIo, fmt::format("a slot process could not be watched: {}", std::strerror(errno)));
  return {};
}

SlotProcess::~SlotProcess() {
  read_output();
  say_lines(true);
  if (pid_ > 0) bury(pid_);
  for (const int fd : {call_fd_, reply_fd_, output_fd_, pid_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

void SlotProcess::set_limits(std::uint64_t memory_bytes, Duration call_limit) {
  if (memory_bytes > 0) options_.memory_bytes = memory_bytes;
  if (call_limit.ns > 0) options_.call_limit = call_limit;
}

/// Waits for an answer, an end or output, at most `ms`.
SlotProcess::Wake SlotProcess::wait(int ms) {
  pollfd fds[3] = {{reply_fd_, POLLIN, 0}, {pid_fd_, POLLIN, 0}, {output_fd_, POLLIN, 0}};
  if (::poll(fds, 3, ms) <= 0) return Wake::kNothing;
  std::uint64_t events = 0;
  if ((fds[2].revents & POLLIN) != 0) read_output();
  if ((fds[2].revents & (POLLHUP | POLLIN)) == POLLHUP) {  // it has closed its output: poll() would say so for ever
    ::close(output_fd_);
    output_fd_ = -1;
  }
  if ((fds[0].revents & POLLIN) != 0 && ::read(reply_fd_, &events, sizeof events) == sizeof events) return Wake::kReply;
  return (fds[1].revents & POLLIN) != 0 ? Wake::kDead : Wake::kNothing;
}

bool SlotProcess::ready() {
  if (!ready_ && end_.empty()) ready_ = wait(0) == Wake::kReply;
  return ready_;
}

bool SlotProcess::alive() {
  if (!end_.empty()) return false;
  Wake woken = wait(0);
  if (woken == Wake::kReply) ready_ = true, woken = wait(0);  // it may have got ready, and ended since
  return woken != Wake::kDead;
}

Result<void> SlotProcess::await(const Interrupt& interrupt) {
  const Instant begun = clock_.now();
  double cpu_before = -1;
  for (;;) {
    const Wake woken = wait(kSliceMs);
    if (woken == Wake::kReply) return {};
    if (woken == Wake::kDead) return fail(died());
    const Duration since = clock_.now() - begun;
    if (since < from_ms(kSliceMs)) continue;  // it printed something
    if (interrupt && interrupt(since)) {
      end_ = "its slot was taken away while it computed";
      throw CallInterrupted();
    }
    const double cpu = cpu_seconds(pid_);
    if (cpu_before < 0) cpu_before = cpu - since.seconds();
    const double limit = options_.call_limit.seconds();
    if (cpu - cpu_before > limit || since.seconds() > 4 * limit)
      return fail(dead(fmt::format("did not answer within {:g} s: it was ended (limits: {{call: …}} in the run file allows more)", limit)));
  }
}

Result<Reply> SlotProcess::call(Call& call, const Interrupt& interrupt) {
  if (!end_.empty()) return fail(Errc::kJobFailed, end_);
  if (!ready_) {
    if (auto there = await(interrupt); !there) return fail(there.error());
    ready_ = true;
  }
  call.number = ++calls_;
  call.work_bytes = work_.bytes();
  call.values_bytes = values_.bytes();
  reinterpret_cast<Page*>(work_.data())->call = call;
  std::atomic_signal_fence(std::memory_order_release);  // between the processes the eventfd's write and read order it; the compiler must too
  const std::uint64_t one = 1;
  if (::write(call_fd_, &one, sizeof one) != sizeof one) return fail(dead("could not be reached"));
  if (auto answered = await(interrupt); !answered) return fail(answered.error());
  std::atomic_signal_fence(std::memory_order_acquire);
  Reply reply;
  std::memcpy(&reply, work_.data() + offsetof(Page, reply), sizeof reply);
  reply.text[sizeof reply.text - 1] = '\0';
  say_lines(false);
  if (reply.number != calls_ || reply.status > Status::kOverrun) return fail(dead("wrote into memory that is not its own: its answer makes no sense"));
  return reply;
}

void SlotProcess::read_output() {
  if (output_fd_ < 0) return;
  char block[4096];
  for (ssize_t got = 0; (got = ::read(output_fd_, block, sizeof block)) > 0;) {
    output_.append(block, static_cast<std::size_t>(got));
    if (output_.size() <= kOutputMax) continue;
    say_lines(false);
    const std::size_t cut = output_.size() > kOutputMax ? output_.size() - kOutputMax : 0;
    output_.erase(0, cut);
    said_ -= std::min(said_, cut);
  }
}

/// Lines that are complete (or all that is there) go to the log, up to a number.
void SlotProcess::say_lines(bool all) {
  while (lines_said_ < kLinesSaidMax) {
    const std::size_t end = output_.find('\n', said_);
    if (end == std::string::npos && (!all || said_ >= output_.size())) return;
    const std::string line = output_.substr(said_, end == std::string::npos ? std::string::npos : end - said_);
    said_ = end == std::string::npos ? output_.size() : end + 1;
    if (line.empty()) continue;
    log::info("{} says: {}", name_, last_lines(line));
    if (++lines_said_ == kLinesSaidMax) log::info("{} says more, which is left out here", name_);
  }
}

/// Ends it, if it has not yet; the error that this and every later call gives.
Error SlotProcess::dead(const std::string& what) {
  read_output();
  const std::string words = last_lines(output_);
  end_ = what + (words.empty() ? "" : "; its last words: " + words);
  ::kill(-pid_, SIGKILL);
  return {Errc::kJobFailed, end_};
}

Error SlotProcess::died() {
  siginfo_t info = {};
  int status = 0;
  // Left to be waited for once more, by the burial.
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
    status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  }
  return dead(end_words(status));
}

}  // namespace sluice::worker::plugin
