#pragma once
/// CSV files, plain or gzip: a header or none, any one-character separator, quotes, a byte-order mark, \n or \r\n (csv_cells.h). One column is the label.
///
/// A column is a number or text; its first 1,000 rows decide (csv_schema.h). Numbers are features as they are. A text column has a feature for each category
/// that the training file holds, sorted, 1 where the row is of it; with more than 16,384 categories these are hashed to 2^18 features. A category that only the
/// test file has, or a missing one where those are allowed, is of none. Class labels are whole numbers, or names; sorted, they become 0 … k − 1.
///
/// A bad row is left out and counted: another number of cells, text in a number's column, a number that is not finite, a missing label, or a missing cell
/// unless spec.csv.missing is "zero" or "mean" (the training file's, also for the test file). Rows are dense up to 256 features, or up to 4,096 where no column
/// is text; else sparse.

#include <string>

#include "proto/job_spec.h"
#include "worker/data/csv_schema.h"
#include "worker/data/rows.h"
#include "worker/data/source.h"

namespace sluice::worker::data {

struct CsvOptions {
  const Mapping* mapping = nullptr;  ///< of the training file when this is the test file
  std::size_t block_bytes = std::size_t{16} << 20;
  std::size_t record_bytes_max = std::size_t{64} << 20;
};

/// Parses in parallel (TBB). Memory: the parsed rows, twice while they are laid out, and a block. Errors: kBadData; kBadConfig: a column that is not there.
[[nodiscard]] Result<Rows> read_csv(SourceFile& file, const std::string& path, const proto::DataSpec& spec, const CsvOptions& options,
                                    const Progress& progress);

}  // namespace sluice::worker::data
