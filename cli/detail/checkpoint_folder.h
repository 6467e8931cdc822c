#pragma once
/// A checkpoint's folder: checkpoint.json, which says what jobs are in it, and a folder of parts for each (proto/saved_cut.h). docs/checkpoints.md.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "proto/job_spec.h"

namespace sluice::cli::detail {

struct CheckpointJob {
  std::string name;
  bool begun = true;  ///< else only its spec is saved
  proto::JobSpec spec;
  std::uint64_t step = 0, bytes = 0;
  double pause_ms = 0;
};
struct CheckpointManifest {
  std::string cut;  ///< the same in every part
  std::vector<CheckpointJob> jobs;
};

inline constexpr const char* kManifestFile = "checkpoint.json";

/// Errors: kIo.
[[nodiscard]] Result<void> write_manifest(const std::string& folder, const CheckpointManifest& manifest);
/// Errors: kNotFound: no checkpoint there; kBadData: damaged.
[[nodiscard]] Result<CheckpointManifest> read_manifest(const std::string& folder);
/// The folder may become a checkpoint: it is not there, or empty, and its parent is. Errors: kBadConfig, saying which.
[[nodiscard]] Result<void> check_new(const std::string& folder);
/// What `init_from` names, as the servers are told: the absolute path of a job's folder (in a checkpoint, of a finished job, or a checkpoint of one job) or of
/// a .safetensors file. Errors: kBadConfig: nothing of that kind is there.
[[nodiscard]] Result<std::string> start_path(const std::string& path);

}  // namespace sluice::cli::detail
