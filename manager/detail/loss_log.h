#pragma once
/// losses.csv: job,seconds,step,examples,loss,slots, a row a report. One thread.

#include <cstdio>
#include <string>

#include "base/result.h"
#include "manager/job_table.h"

namespace sluice::manager {

class LossLog {
 public:
  LossLog() = default;
  ~LossLog();
  LossLog(const LossLog&) = delete;
  LossLog& operator=(const LossLog&) = delete;
  /// Appends to `path`; a new file gets the header. Errors: kIo.
  [[nodiscard]] Result<void> open(const std::string& path);
  /// A row for what `report` said of `job`; seconds are from the job's submission, the loss is the window's mean. Nothing for a window without examples.
  void add(const Job& job, const proto::JobReport& report, Instant now);
  /// Hands rows to the operating system. Errors: kIo (disk full; the rows are dropped).
  [[nodiscard]] Result<void> flush();

 private:
  int fd_ = -1;
  std::string path_, rows_;
};

}  // namespace sluice::manager
