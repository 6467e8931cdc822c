#include "manager/detail/loss_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>

#include "base/text.h"

namespace sluice::manager {

RowsFile::~RowsFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> RowsFile::open(const std::string& path, const std::string& header) {
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) return fail(Errc::kIo, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  size_ = std::max<std::int64_t>(0, ::lseek(fd_, 0, SEEK_END));
  if (size_ == 0) add(header);
  return flush();
}

Result<void> LossLog::open(const std::string& folder) {
  if (auto opened = losses_.open(folder + "/losses.csv", "job,seconds,step,examples,loss,slots"); !opened) return opened;
  return validations_.open(folder + "/validations.csv", "job,seconds,step,examples,loss,metric,score");
}

void LossLog::add(const Job& job, const proto::JobReport& r, Instant now) {
  const double seconds = job.seconds_since_submission(now);
  if (r.evaluated > 0 && r.evaluated_at_step != job.evaluated_at_step && std::isfinite(r.validation_loss) && std::isfinite(r.metric)) {
    const std::string name = text::valid_name(r.metric_name) ? r.metric_name : "?";  // a server's word goes into a file that people's tools read
    validations_.add(
        fmt::format("{},{:.3f},{},{},{:.8g},{},{:.8g}", job.spec.name, seconds, r.evaluated_at_step, r.evaluated, r.validation_loss, name, r.metric));
  }
  if (r.window_examples == 0) return;
  const double loss = r.loss_sum / static_cast<double>(r.window_examples);
  if (std::isfinite(loss)) losses_.add(fmt::format("{},{:.3f},{},{},{:.8g},{}", job.spec.name, seconds, r.step, r.examples, loss, job.slots));
}

Result<void> LossLog::flush() {
  auto losses = losses_.flush();
  auto validations = validations_.flush();
  return losses ? validations : losses;
}

Result<void> RowsFile::flush() {
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
