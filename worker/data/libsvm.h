#pragma once
/// The libsvm text format: one row a line, "label index:value index:value …", indices increasing, # starts a comment, blank lines are nothing. Plain or gzip.
///
/// Labels are targets, any finite numbers, or classes: whole numbers (also written 1.0 or 1e0); their distinct values, sorted, become classes 0 … k − 1, so
/// −1/+1 become 0/1. The first column is 0 if index 0 occurs anywhere in the training file, else 1. A bad row (not this format, a value that is not finite, an
/// index or label beyond what is allowed) is left out and counted. Of a test file, read by the training file's mapping: an unseen label makes a bad row;
/// entries of columns that the training data does not have are dropped.

#include <string>

#include "worker/data/rows.h"
#include "worker/data/source.h"

namespace sluice::worker::data {

struct LibsvmOptions {
  std::uint64_t features = 0;                       ///< training: columns if known; an index beyond makes a bad row. 0: the largest index met
  bool targets = false;                             ///< what labels are
  const Mapping* mapping = nullptr;                 ///< of the training file when this is the test file
  std::size_t block_bytes = std::size_t{16} << 20;  ///< text parsed at a time, in parallel
  std::size_t line_bytes_max = std::size_t{256} << 20;
};

/// Parses in parallel (TBB). Memory: the parsed rows and a block. Errors: kBadData.
[[nodiscard]] Result<Rows> read_libsvm(SourceFile& file, const std::string& path, const LibsvmOptions& options, const Progress& progress);

}  // namespace sluice::worker::data
