#pragma once
/// losses.csv: job,seconds,step,examples,loss,slots, a row a report. One thread.

#include <cstdint>
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
  [[nodiscard]] bool pending() const { return !rows_.empty(); }
  /// Hands rows to the operating system. Errors: kIo (disk full; the rows are dropped).
  [[nodiscard]] Result<void> flush();

 private:
  int fd_ = -1;
  std::int64_t size_ = 0;  ///< of the whole rows
  std::string path_, rows_;
};

}  // namespace sluice::manager
