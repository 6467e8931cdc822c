#include "manager/detail/loss_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

namespace sluice::manager {

LossLog::~LossLog() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> LossLog::open(const std::string& path) {
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) return fail(Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  size_ = std::max<std::int64_t>(0, ::lseek(fd_, 0, SEEK_END));
  if (size_ == 0) rows_ = "job,seconds,step,examples,loss,slots\n";
  return flush();
}

void LossLog::add(const Job& job, const proto::JobReport& r, Instant now) {
  if (r.window_examples == 0) return;
  const double loss = r.loss_sum / static_cast<double>(r.window_examples);
  if (!std::isfinite(loss)) return;
  rows_ += fmt::format("{},{:.3f},{},{},{:.8g},{}\n", job.spec.name, job.seconds_since_submission(now), r.step, r.examples, loss, job.slots);
}

Result<void> LossLog::flush() {
  if (rows_.empty()) return {};
  const std::string rows = std::exchange(rows_, {});
  const ssize_t written = ::pwrite(fd_, rows.data(), rows.size(), size_);
  if (written == static_cast<ssize_t>(rows.size())) {
    size_ += written;
    return {};
  }
  const int why = written < 0 ? errno : ENOSPC;
  // Half a row would be a bad row to every reader.
  const bool whole = ::ftruncate(fd_, size_) == 0;
  return fail(Errc::kIo, fmt::format("cannot write {}: {}{}", path_, std::strerror(why), whole ? "" : "; its last row may be cut"));
}

}  // namespace sluice::manager
