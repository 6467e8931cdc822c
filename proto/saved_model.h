#pragma once
/// A finished job's parameters in files. Each server writes a part: the shards that it holds. `join_parts` makes one model file of them: for a dense table
/// "w" a tensor "w" [rows, cols]; for a sparse one "w.keys" [n], ascending, and "w.values" [n, cols] with the rows that were ever pushed to.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/job_spec.h"
#include "proto/table_spec.h"

namespace sluice::proto {

/// What is known about the job beside its values. Its home writes it.
struct SavedJob {
  JobId id;
  JobSpec spec;
  std::string data = "{}";  ///< a JSON object: how the worker read the training data (worker/data/dataset.h)
  std::uint64_t step = 0;
  std::vector<std::string> servers = {};  ///< those that owned hash slots at its end: each has a part
};

struct SavedTable {
  TableSpec spec;
  std::vector<Key> keys;      ///< sparse: ascending
  std::vector<float> values;  ///< dense: rows × cols; sparse: keys.size() × cols
};
struct SavedModel {
  SavedJob job;
  std::vector<SavedTable> tables;  ///< by id
};

/// The file name of a server's part in the job's folder.
[[nodiscard]] std::string part_name(const std::string& server);
/// One shard of a part. The spans live until the part is written.
struct SavedShard {
  TableId table;
  ShardId shard;
  std::vector<Key> keys;         ///< sparse
  std::vector<float> rows;       ///< sparse: keys.size() × cols
  std::span<const float> dense;  ///< dense: the shard's values
};
/// Writes a part; `home`: where the job's home is here, else null. Errors: kIo.
[[nodiscard]] Result<void> write_part(const std::string& path, JobId job, std::span<const TableSpec> tables, std::span<const SavedShard> shards,
                                      const SavedJob* home);
/// The job that a part is of; nothing where there is no such file, or it is no part.
[[nodiscard]] std::optional<JobId> part_job(const std::string& path);
/// The parts in the folder.
[[nodiscard]] std::vector<std::string> part_paths(const std::string& folder);
/// Reads them and puts them together; of several jobs' the newest one's. Errors: kNotFound: none; kBadData: damaged, a shard or a server's part is missing.
[[nodiscard]] Result<SavedModel> join_parts(const std::vector<std::string>& paths);

/// Errors: kIo.
[[nodiscard]] Result<void> write_model(const std::string& path, const SavedModel& model);
/// Errors: kNotFound, kIo, kBadData: not a model file, damaged.
[[nodiscard]] Result<SavedModel> read_model(const std::string& path);

}  // namespace sluice::proto
