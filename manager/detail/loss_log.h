#pragma once
/// losses.csv: job,seconds,step,examples,loss,slots, a row a report; and validations.csv: job,seconds,step,examples,loss,metric,score, a row each time held-out
/// rows were scored. One thread.

#include <cstdint>
#include <string>

#include "base/result.h"
#include "manager/job_table.h"

namespace sluice::manager {

/// A file that whole rows are appended to.
class RowsFile {
 public:
  RowsFile() = default;
  ~RowsFile();
  RowsFile(const RowsFile&) = delete;
  RowsFile& operator=(const RowsFile&) = delete;
  /// Appends to `path`; a new file gets the header. Errors: kIo.
  [[nodiscard]] Result<void> open(const std::string& path, const std::string& header);
  /// A row without its line end.
  void add(const std::string& row) { rows_ += row + '\n'; }
  [[nodiscard]] bool pending() const { return !rows_.empty(); }
  /// Hands rows to the operating system. Errors: kIo (disk full; the rows are dropped).
  [[nodiscard]] Result<void> flush();

 private:
  int fd_ = -1;
  std::int64_t size_ = 0;  ///< of the whole rows
  std::string path_, rows_;
};

class LossLog {
 public:
  /// Both files, in that folder. Errors: kIo.
  [[nodiscard]] Result<void> open(const std::string& folder);
  /// Rows for what `report` says beyond what `job` holds; seconds are from the job's submission, the loss is the window's mean.
  void add(const Job& job, const proto::JobReport& report, Instant now);
  [[nodiscard]] bool pending() const { return losses_.pending() || validations_.pending(); }
  /// Errors: kIo.
  [[nodiscard]] Result<void> flush();

 private:
  RowsFile losses_, validations_;
};

}  // namespace sluice::manager
